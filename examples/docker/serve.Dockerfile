# `wix-sync serve` as an image, on top of the one that the Dockerfile of the project makes: a sync every 15 minutes, without
# cron, and triggers and status on port 8080.
#
#   docker build --tag wix-sync .
#   docker build --tag wix-sync-serve --file examples/docker/serve.Dockerfile examples/docker
#   docker run --rm --env-file .env wix-sync migrate
#   docker run --detach --restart unless-stopped --env-file .env --publish 127.0.0.1:8080:8080 wix-sync-serve
#
# The .env needs WIX_SYNC_SERVE_TOKEN: inside a container, the server has to listen on more than a loopback address.
# hadolint ignore=DL3006
FROM wix-sync
EXPOSE 8080
CMD ["serve", "--listen", "0.0.0.0:8080", "--every", "15m"]
