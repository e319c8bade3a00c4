// Sends a known series of records with the client of @fluent-org/logger, and prints how many it sent.
//
// Its one argument is a JSON object: network (tcp, tls or unix), address, mode (an eventMode), ack, sharedKey, user,
// password, records, tags. Record i has the tag real.T, T being i modulo tags, the time 1700000000 s + i/1000 s +
// (i mod 1000) * 1000003 ns, and the fields n = i and text.
const { FluentClient, EventTime } = require("@fluent-org/logger");

const order = JSON.parse(process.argv[2]);
const socket = { timeout: 30000 };
if (order.network === "unix") {
  socket.path = order.address;
} else {
  const at = order.address.lastIndexOf(":");
  socket.host = order.address.slice(0, at);
  socket.port = Number(order.address.slice(at + 1));
  if (order.network === "tls") {
    socket.tls = { rejectUnauthorized: false };
  }
}
const client = new FluentClient("real", {
  socket,
  eventMode: order.mode || "PackedForward",
  ack: order.ack ? { ackTimeout: 60000 } : undefined,
  security: order.sharedKey
    ? { clientHostname: "client.example", sharedKey: order.sharedKey, username: order.user, password: order.password }
    : undefined,
  flushInterval: 20,
  disconnect: { waitForPending: true, waitForPendingDelay: 60000, socketDisconnectDelay: 100 },
});
// With a wrong key emit never settles: the error comes here.
client.socketOn("error", (error) => {
  console.error("fluentnode:", error);
  process.exit(1);
});

(async () => {
  for (let i = 0; i < order.records; ) {
    const some = [];
    for (const end = Math.min(i + 5000, order.records); i < end; i++) {
      const at = new EventTime(1700000000 + Math.floor(i / 1000), (i % 1000) * 1000003);
      some.push(client.emit(String(i % order.tags), { n: i, text: 'w\u00f6rter, "quoted"\n' }, at));
    }
    await Promise.all(some);
  }
  await client.disconnect();
  console.log("sent " + order.records);
})().catch((error) => {
  console.error("fluentnode:", error);
  process.exit(1);
});
