# Ports of a machine with Weir, for ufw: install it as /etc/ufw/applications.d/weir. Then, by the role of the machine:
#   ufw allow "Weir RTMP"          single, restream, origin: encoders
#   ufw allow "Weir HTTP"          single, origin, edge, loadbalancer: pages and media
#   ufw allow "Weir WebRTC"        if [webrtc] of weir.toml is set
# Two machines with one address: VRRP of keepalived, from the other machine alone:
#   ufw allow from 192.0.2.12 proto vrrp                           ufw 0.36.2 and later
#   or, in /etc/ufw/before.rules: -A ufw-before-input -p 112 -s 192.0.2.12 -j ACCEPT
# A pair of restream servers, from the daemon of the other one alone:
#   ufw allow from 192.0.2.12 to any port 8090 proto tcp

[Weir RTMP]
title=Weir, encoders
description=RTMP of nginx with Weir
ports=1935/tcp

[Weir HTTP]
title=Weir, viewers
description=Pages and media of nginx with Weir
ports=80,443,8080/tcp

[Weir WebRTC]
title=Weir, WebRTC
description=WebRTC of weir serve
ports=8189
