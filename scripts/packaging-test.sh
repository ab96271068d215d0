#!/usr/bin/env bash
# packaging-test.sh WORK: checks the forms of other distributions in packaging/, as far as Debian's tools go. They install the same files as
# `make install` does, and what each adds or has in another place is listed here.
#
# rpmbuild makes RPMs of the built checkout, since the macros of Fedora's nginx-mod-devel are not here: stand-ins name the folders that Fedora
# names. busybox runs the functions of the APKBUILD, as on Alpine: its applets come before the programs of GNU.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] || die "usage: packaging-test.sh WORK"
work=$(realpath -m "$1")
say() { printf '%s: %s\n' "${0##*/}" "$*"; }
[ -x "$root_dir/build/weir" ] && [ -f "$root_dir/build/ngx_rtmp_weir_module.so" ] || die "nothing is built yet: run \`make build\`"
version=$(crate_version)
"$root_dir/scripts/version-check.sh"
rm -rf "$work"
mkdir -p "$work"
cd "$root_dir"
unset MAKEFLAGS MAKELEVEL

# files ROOT: what is in it, links too, without the folders.
files() { (cd "$1" && find . -not -type d | sed 's|^\./||' | LC_ALL=C sort); }
# same WHAT EXPECTED FOUND
same() { diff -u "$2" "$3" >"$work/diff" || { cat "$work/diff" >&2; die "$1 has other files than \`make install\`"; }; }

make --silent install DESTDIR="$work/make" PREFIX=/usr
files "$work/make" >"$work/make.files"
loads='usr/share/nginx/modules-available/mod-rtmp-weir.conf|etc/nginx/modules-enabled/70-mod-rtmp-weir.conf'

# Alpine.
for script in APKBUILD weir.initd weir.pre-install; do
    sh -n "packaging/alpine/$script" || die "$script is no shell script"
done
shellcheck --severity=warning --shell=sh --exclude=SC2034,SC2154,SC3043,SC2155,SC2164 packaging/alpine/APKBUILD packaging/alpine/weir.pre-install
mkdir -p "$work/alpine/src"
ln -s "$root_dir" "$work/alpine/src/weir-$version"
cp packaging/alpine/weir.initd "$work/alpine/src/"
command -v busybox >/dev/null || die "the package busybox is missing: apt-get install busybox"
mkdir "$work/applets"
busybox --install -s "$work/applets"
# An nginx with flags like those of Alpine, and a configure that writes its arguments down.
nginx_version=$(sed -n 's/^_nginxver=//p' packaging/alpine/APKBUILD)
mkdir "$work/alpine/bin" "$work/alpine/src/nginx-$nginx_version"
cat >"$work/alpine/bin/nginx" <<SH
#!/bin/sh
cat >&2 <<'SAYS'
nginx version: nginx/$nginx_version
configure arguments: --prefix=/var/lib/nginx --with-threads --with-compat --with-http_ssl_module --with-http_xslt_module=dynamic --with-http_image_filter_module=dynamic --with-http_geoip_module=dynamic --with-http_perl_module=dynamic --with-stream=dynamic --with-stream_geoip_module=dynamic --with-cc-opt='-Os -g' --add-dynamic-module=/home/buildozer/src/nginx-rtmp-module-1.2.2/
SAYS
SH
printf '#!/bin/sh\nprintf "%%s\\n" "$@" >configured\n' >"$work/alpine/src/nginx-$nginx_version/configure"
chmod 755 "$work/alpine/bin/nginx" "$work/alpine/src/nginx-$nginx_version/configure"
env -i PATH="$work/alpine/bin:$work/applets:$PATH" srcdir="$work/alpine/src" pkgdir="$work/alpine/pkg" subpkgdir="$work/alpine/module" sh -euc '
    # What abuild has: moves files of the package to a subpackage.
    amove() { for path; do mkdir -p "$subpkgdir/${path%/*}"; mv "$pkgdir/$path" "$subpkgdir/$path"; done; }
    default_prepare() { :; }
    error() { echo "$*"; }
    . packaging/alpine/APKBUILD
    prepare
    cd "$builddir"
    check
    package
    _module' >"$work/alpine.log" 2>&1 || { tail -n 20 "$work/alpine.log" >&2; die "the functions of the APKBUILD failed"; }
printf '%s\n' --prefix=/var/lib/nginx --with-threads --with-compat --with-http_ssl_module --with-stream=dynamic '--with-cc-opt=-Os -g' |
    diff - "$work/alpine/src/nginx-$nginx_version/configured" || die "the APKBUILD configures nginx's source with other flags"
[ "$(cat "$work/alpine/module/etc/nginx/modules/20_rtmp_weir.conf")" = 'load_module "modules/ngx_rtmp_weir_module.so";' ] || die "Alpine's nginx would not load the module"
[ -f "$work/alpine/module/usr/lib/nginx/modules/ngx_rtmp_weir_module.so" ] || die "Alpine's package of the module has no module"
grep -q '^Group=nginx$' "$work/alpine/pkg/usr/lib/systemd/system/weir.service" || die "Alpine's group is not nginx"
grep -vE "^($loads)\$" "$work/make.files" | sed 's|zsh/vendor-completions|zsh/site-functions|' |
    LC_ALL=C sort - <(printf '%s\n' etc/nginx/modules/20_rtmp_weir.conf etc/init.d/weir etc/weir/weir.toml) >"$work/alpine.expected"
LC_ALL=C sort <(files "$work/alpine/pkg") <(files "$work/alpine/module") >"$work/alpine.files"
same "the APKBUILD" "$work/alpine.expected" "$work/alpine.files"
say "the APKBUILD installs the $(wc -l <"$work/make.files") files of make install"

# The sources of a chroot: Debian's mirrors with their options, and nothing of third parties.
mkdir -p "$work/apt/sources.list.d"
cat >"$work/apt/sources.list" <<'LIST'
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg arch=amd64] http://mirror.example.net/debian bookworm main contrib
deb http://packages.example.org/mainline/debian bookworm nginx
deb https://packages.example.org/php/ bookworm main
# deb http://example.org/debian bookworm main
LIST
cat >"$work/apt/sources.list.d/other.sources" <<'SOURCES'
Types: deb deb-src
URIs: http://mirror.example.net/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://download.example.org/linux/debian
Suites: bookworm
Components: stable
SOURCES
sed 's/bookworm/trixie/' >"$work/apt/expected" <<'LIST'
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg arch=amd64] http://mirror.example.net/debian bookworm main
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example.net/debian-security bookworm-security main
LIST
APT_DIR=$work/apt APT_RELEASE=bookworm scripts/chroot.sh trixie --sources | diff -u "$work/apt/expected" - || die "a chroot would have other sources"

# Fedora.
macros=(
    --define "_topdir $work/rpm" --define "_prefix /usr" --define "_unitdir /usr/lib/systemd/system" --define "_sysusersdir /usr/lib/sysusers.d" --define "_tmpfilesdir /usr/lib/tmpfiles.d" --define "_docdir /usr/share/doc"
    --define "nginx_moddir /usr/lib64/nginx/modules" --define "nginx_modconfdir /usr/share/nginx/modules" --define "_vpath_builddir build"
    --define "_nginx_buildsrcdir nginx-src" --define "nginx_modrequires Requires: nginx(abi) = 1" --define "nginx_modbuild true"
    --define "nginx_modconfigure(:-:) true" --define "systemd_post() true" --define "systemd_preun() true"
    --define "systemd_postun_with_restart() true" --define "tmpfiles_create() true" --define "sysusers_create_compat() %(sed -n 's/^u /: creates /p' %1)" --define "dist .test"
)
mkdir -p "$work"/rpm/{BUILD,SOURCES,SPECS,RPMS,SRPMS}
cp packaging/rpm/weir.spec "$work/rpm/SPECS/"
# rpmbuild reads it while it parses the spec.
cp nginx-conf/systemd/sysusers.conf "$work/rpm/SOURCES/weir.sysusers"
if [ -f "build/dist/weir-$version.tar.xz" ]; then
    cp "build/dist/weir-$version.tar.xz" "$work/rpm/SOURCES/"
else
    : >"$work/rpm/SOURCES/weir-$version.tar.xz"
fi
rpmspec "${macros[@]}" -P "$work/rpm/SPECS/weir.spec" >"$work/rpm/parsed.spec"
grep -q '^: creates weir ' "$work/rpm/parsed.spec" || die "the spec does not read sysusers.conf before its installation"
grep -E '%(\{|nginx|systemd|_)' "$work/rpm/parsed.spec" && die "the spec has macros that nothing defines"
rpmbuild "${macros[@]}" --nodeps -bs "$work/rpm/SPECS/weir.spec" >"$work/rpm/source.log" 2>&1 || { cat "$work/rpm/source.log" >&2; die "rpmbuild -bs failed"; }

# The built checkout takes the place of what %build makes; nginx-rtmp's module is the installed one.
tree=$work/rpm/BUILD/weir-$version
mkdir -p "$tree/nginx-rtmp/build" "$tree/build"
tar --exclude=./build --exclude=./target --exclude=./.git --exclude=./.run --exclude=./nginx-rtmp --exclude=./vendor -cf - . | tar -xf - -C "$tree"
cp build/weir build/ngx_rtmp_weir_module.so build/THIRD-PARTY-NOTICES "$tree/build/"
cp /usr/lib/nginx/modules/ngx_rtmp_module.so "$tree/nginx-rtmp/build/"
cp build/headers/nginx-rtmp/LICENSE "$tree/nginx-rtmp/"
for step in -bi -bb; do
    rpmbuild "${macros[@]}" --nodeps --short-circuit "$step" "$work/rpm/SPECS/weir.spec" >"$work/rpm/build.log" 2>&1 ||
        { tail -n 40 "$work/rpm/build.log" >&2; die "rpmbuild $step failed"; }
done
rpms=("$work"/rpm/RPMS/*/*.rpm)
[ ${#rpms[@]} = 3 ] || die "the spec makes ${#rpms[@]} packages"
for rpm in "${rpms[@]}"; do
    rpm -qp --nosignature --qf '[%{FILEMODES:perms} /%{FILENAMES}\n]' "$rpm"
done 2>/dev/null | grep -v '^d' | sed 's|^[^ ]* //||' | grep -vE '^usr/(share/licenses|lib/.build-id)/' | sed 's|\(/man[15]/.*\)\.gz$|\1|' | LC_ALL=C sort >"$work/rpm.files"
grep -vE "^($loads)\$" "$work/make.files" | sed 's|zsh/vendor-completions|zsh/site-functions|; s|^usr/lib/nginx/|usr/lib64/nginx/|' |
    LC_ALL=C sort - <(printf '%s\n' etc/weir/weir.toml usr/lib64/nginx/modules/ngx_rtmp_module.so usr/share/nginx/modules/mod-rtmp.conf usr/share/nginx/modules/mod-rtmp_weir.conf) \
        >"$work/rpm.expected"
same "the RPM spec" "$work/rpm.expected" "$work/rpm.files"
# nginx includes them in the order of their names.
[ "$(printf '%s\n' mod-rtmp.conf mod-rtmp_weir.conf | LC_ALL=C sort | head -n 1)" = mod-rtmp.conf ] || die "the module would be loaded before nginx-rtmp"
rpmlint packaging/rpm/weir.spec >"$work/rpm/lint" 2>&1 || true
grep -E ': E: ' "$work/rpm/lint" && die "rpmlint finds errors in the spec"
say "the RPM spec installs the $(wc -l <"$work/make.files") files of make install; rpmlint: $(tail -n 1 "$work/rpm/lint")"
