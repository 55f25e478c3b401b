"""What is sent to a service without event streams, and runs there: the agent.

Three processes, all of the service's own Python (3.9 or later) and standard library; IPython is
used where it is there:

- the *relay*, a module in a persistent namespace, passes requests on (``relay``);
- the *broker* keeps runs, their events and values in passing, and outlives every client
  (``broker``);
- the *kernel* executes cells on its main thread, so that an interrupt is a signal, as in a local
  notebook; when it dies or is killed, the broker says so and starts another (``kernel`` is the
  broker's end, ``cells`` the process itself).

Modules here import each other, ``failures``, ``values`` and the standard library only, and stay
within Python 3.9; ``bundle`` packs them under the name ``clouditia_agent``.
"""
