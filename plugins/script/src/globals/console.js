// The console: lines of the agent's log.
((native) => {
  const show = (value) => {
    if (typeof value === "object" && value !== null && !(value instanceof Error)) {
      try {
        return JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? `${inner}` : inner));
      } catch {
        return Object.prototype.toString.call(value);
      }
    }
    return String(value);
  };
  const line =
    (level) =>
    (...values) =>
      native.log(level, values.map(show).join(" "));

  const console = {
    error: line("error"),
    warn: line("warn"),
    info: line("info"),
    log: line("info"),
    debug: line("debug"),
    trace: line("trace"),
    assert(condition, ...values) {
      if (!condition) console.error("assertion failed:", ...values);
    },
  };
  return { console };
})
