#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs once inside the new file system: makes a general Debian into a test host.
set -eu

# Nothing starts by itself but sshd: what a host does is its role's decision.
php=$(php -r 'echo PHP_MAJOR_VERSION, ".", PHP_MINOR_VERSION;')
for unit in apache2 "php$php-fpm" nginx haproxy mariadb redis-server memcached rsync nftables; do
    systemctl disable "$unit.service" >/dev/null 2>&1 || true
done
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer man-db.timer \
    dpkg-db-backup.timer phpsessionclean.timer logrotate.timer apache-htcacheclean.service \
    console-getty.service getty@.service getty.target systemd-logind.service systemd-timesyncd.service \
    systemd-udevd.service systemd-udev-trigger.service systemd-networkd.service systemd-resolved.service \
    modprobe@.service sys-kernel-debug.mount sys-kernel-tracing.mount systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-machine-id-commit.service e2scrub_reap.service
# Nobody types passwords on a host without a console; and a machine has few inotify instances, of which each watch takes one.
systemctl mask --quiet systemd-ask-password-console.path systemd-ask-password-wall.path
systemctl enable --quiet ssh.service bed-route.service
systemctl set-default --quiet multi-user.target

# Each container is a host of its own: no identity may come from the image.
rm -f /etc/ssh/ssh_host_*
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id
# No resolver answers on the bed's network: with this name lookups fail at once instead of after 20 s.
rm -f /etc/resolv.conf
: >/etc/resolv.conf

a2enmod -q rewrite headers remoteip >/dev/null
a2dissite -q 000-default >/dev/null
rm -f /var/www/html/index.html /etc/nginx/sites-enabled/default

rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /usr/share/info/* /var/cache/apt/* /var/lib/apt/lists/* \
    /var/log/*.log /var/log/apt/* /var/log/mysql/* /tmp/customize.sh
