// Services that streams are pushed to. To add a service, add a line with its name, the address without the key, and the place where
// the service shows the key. The form asks for {host}, and for the whole address if there is none.

export const PRESETS = [
  { name: "YouTube", url: "rtmps://a.rtmps.youtube.com/live2/", hint: "YouTube Studio, Go live, Stream key" },
  { name: "Twitch", url: "rtmps://ingest.global-contribute.live-video.net/app/", hint: "Creator Dashboard, Settings, Stream, Primary Stream key" },
  { name: "Facebook", url: "rtmps://live-api-s.facebook.com:443/rtmp/", hint: "facebook.com/live/producer, Streaming software, Stream key" },
  { name: "Kick", url: "", ask: "rtmps://...global-contribute.live-video.net/app/", hint: "Kick, Creator Dashboard, Settings, Stream URL and Key" },
  { name: "Vimeo", url: "rtmps://rtmp-global.cloud.vimeo.com/live/", hint: "Vimeo, Live event, Connect an encoder" },
  { name: "LinkedIn", url: "", ask: "rtmps://...channel.media.azure.net:2935/live/", hint: "LinkedIn Live, Get URL; it is another one for each event" },
  { name: "PeerTube", url: "rtmp://{host}:1935/live/", host: "peertube.example.org", hint: "PeerTube, the live video, Display live information" },
  { name: "Owncast", url: "rtmp://{host}:1935/live/", host: "owncast.example.org", hint: "Owncast, Admin, Configuration, Server setup, Stream keys" },
  { name: "Own server", url: "", ask: "rtmp://server.example.org/live/", hint: "Another Weir: weir key add APP STREAM" },
];
