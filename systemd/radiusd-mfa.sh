#!/bin/sh
# The commands of radiusd-mfa with the settings of its services. Installed as /usr/local/bin/radiusd-mfa.
RADIUSD_MFA_CONFIG="${RADIUSD_MFA_CONFIG-/etc/radiusd-mfa/radiusd-mfa.toml}" exec /opt/radiusd-mfa/bin/radiusd-mfa "$@"
