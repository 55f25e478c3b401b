// How numbers and moments are put into words.

function money(value, currency = "EUR") {
  if (value == null) return "?";
  const small = Math.abs(value) >= 0.00005 && Math.abs(value) < 0.1;
  return `${value.toFixed(small ? 4 : 2)} ${currency}`;
}

function duration(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "";
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24];
  const [minutes, rest] = [Math.floor(whole / 60) % 60, whole % 60];
  if (days > 365) return "more than a year";
  if (days) return `${days}d ${hours}h`;
  if (hours) return `${hours}h ${minutes}m`;
  return minutes ? `${minutes}m ${rest}s` : `${rest}s`;
}

function clock(moment) {
  if (moment == null) return "";
  const when = new Date(moment * 1000);
  const time = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  if (Date.now() - when < 72e6) return time;
  return `${when.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

// What something has cost by now: it grows by itself, up to its limit.
function costNow(meter, now) {
  if (meter.cost == null) return null;
  const grown = meter.since == null ? 0 : (meter.rate * Math.max(0, now - meter.since)) / 3600;
  const cost = meter.cost + grown;
  return meter.cap == null ? cost : Math.min(cost, meter.cap);
}

// Seconds of "3600", "90m", "2h", "1h30m"; null for nothing, NaN for what is no time.
function seconds(text) {
  const word = text.trim().toLowerCase().replace(/\s+/g, "");
  if (!word) return null;
  const whole = /^\d+(\.\d+)?$/.test(word) ? `${word}s` : word;
  if (!/^(\d+(\.\d+)?[smhd])+$/.test(whole)) return NaN;
  const size = { s: 1, m: 60, h: 3600, d: 86400 };
  const parts = [...whole.matchAll(/([\d.]+)([smhd])/g)];
  return Math.round(parts.reduce((sum, [, number, unit]) => sum + number * size[unit], 0));
}

const plural = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

const listed = (words) =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
