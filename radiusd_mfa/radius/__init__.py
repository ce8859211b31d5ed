"""The only home of pyrad: RADIUS as values and octets, without sockets."""
