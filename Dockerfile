# Konsil's image. It needs the host's network, so that ICE candidates are this machine's addresses:
#
#   docker build -t konsil .
#   docker run -d --name konsil --network host -v konsil:/var/lib/konsil -v konsil-key:/var/lib/konsil-key konsil
#   docker exec konsil cat /var/lib/konsil/run.json          the page's address with a ready host link
#
# The second volume holds the key that seals what is stored in the first: back up both, apart from each other.
# Settings come from the environment (-e KONSIL_MEDIA_ADVERTISE=203.0.113.7) or from a file mounted
# over /etc/konsil/konsil.toml. The process is no root: for port 443 in http.listen, let everyone bind
# it on the host with `sysctl net.ipv4.ip_unprivileged_port_start=443`. Socket buffers are the host's
# too: see systemd/konsil-sysctl.conf.

FROM node:22-bookworm-slim AS web
WORKDIR /src/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci
COPY web ./
RUN npm run build

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
COPY --from=web /src/web/dist web/dist
RUN apt-get update && apt-get install -y --no-install-recommends llvm-19 \
 && make release-binary \
 && strip --strip-debug -o /konsil target/release/konsil

FROM debian:bookworm-slim
RUN groupadd --gid 10001 konsil \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/konsil --shell /usr/sbin/nologin konsil \
 && install -d -m 0700 -o konsil -g konsil /var/lib/konsil /var/lib/konsil-key
COPY --from=build /konsil /usr/bin/konsil
COPY config/konsil.toml /etc/konsil/konsil.toml
USER 10001:10001
ENV STATE_DIRECTORY=/var/lib/konsil
ENV KONSIL_STORE_KEY_FILE=/var/lib/konsil-key/master.key
WORKDIR /var/lib/konsil
VOLUME /var/lib/konsil /var/lib/konsil-key
EXPOSE 8443/tcp 3478/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9478 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]"]
ENTRYPOINT ["/usr/bin/konsil"]
CMD ["serve", "--config", "/etc/konsil/konsil.toml"]
