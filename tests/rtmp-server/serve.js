// An RTMP server on loopback that lets everybody publish and play: node serve.js RTMP-PORT HTTP-PORT STORE
const NodeMediaServer = require("node-media-server");

const [rtmp, http] = process.argv.slice(2, 4).map(Number);
new NodeMediaServer({
  bind: "127.0.0.1",
  rtmp: { port: rtmp },
  http: { port: http },
  store: { path: process.argv[4] },
  auth: { play: false, publish: false },
}).run();
