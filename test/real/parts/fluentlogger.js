// The server of @fluent-org/logger, which prints each event that it receives as one line.
const { FluentServer } = require("@fluent-org/logger");

const server = new FluentServer(JSON.parse(process.argv[2]));
server.on("entry", (tag, time, record) => {
  // An EventTime is shown as it was sent, in seconds and nanoseconds.
  const at = time && typeof time === "object" && "nano" in time ? `${time.epoch}.${String(time.nano).padStart(9, "0")}` : time;
  console.log("entry " + JSON.stringify({ tag, time: at, record }));
});
server.listen();

// It ends between two messages, never between an acknowledgement and its entries.
process.on("SIGTERM", () => process.exit(0));
