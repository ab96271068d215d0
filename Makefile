# `make help` lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
HEADERS := build/headers

# Sources that a packager provides. Each of the first two variables implies the other.
ifdef NGINX_SOURCE_DIR
export NGINX_BUILD_DIR ?= $(NGINX_SOURCE_DIR)/objs
else ifdef NGINX_BUILD_DIR
export NGINX_SOURCE_DIR ?= $(patsubst %/,%,$(dir $(patsubst %/,%,$(NGINX_BUILD_DIR))))
endif

# make run
RTMP_PORT ?= 1935
HTTP_PORT ?= 8080
TEST_STREAM ?= 1
run: PREFIX ?= .run

# make install and uninstall
install uninstall: PREFIX ?= /usr
SYSCONFDIR ?= /etc
LIBDIR ?= $(PREFIX)/lib
DATADIR ?= $(PREFIX)/share
DOCDIR ?= $(DATADIR)/doc/weir
UNITDIR ?= $(LIBDIR)/systemd/system
# The group of nginx's workers, which read what the daemon writes.
NGINX_GROUP ?= www-data

.PHONY: help deps build-deps headers build run test test-long sanitized fuzz check fmt clippy doc deny shellcheck layers docs \
	msrv msrv-version miri other-nginx from-source-test bench bench-quick install uninstall deb deb-test deb-reproducible container-test dist dist-test packaging-test vendor-web clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

deps: ## install all Debian packages for the build, make run and the tests (needs root or sudo)
	@scripts/deps.sh

build-deps: ## install only the Debian packages for the build (needs root or sudo)
	@scripts/deps.sh build

headers: ## prepare the sources that the module is compiled against, in build/headers
	@scripts/nginx-headers.sh $(HEADERS)

build: headers ## build build/ngx_rtmp_weir_module.so and build/weir
	$(CARGO) build --release --locked -p weir-ngx-module -p weir
	@mkdir -p build
	@cmp -s $(TARGET_DIR)/release/libngx_rtmp_weir_module.so build/ngx_rtmp_weir_module.so || \
		install -m 0644 $(TARGET_DIR)/release/libngx_rtmp_weir_module.so build/ngx_rtmp_weir_module.so
	@cmp -s $(TARGET_DIR)/release/weir build/weir || install -m 0755 $(TARGET_DIR)/release/weir build/weir
	@$(MAKE) --no-print-directory build/THIRD-PARTY-NOTICES

# The notices are those of the linked crates, so they change with the lock file.
build/THIRD-PARTY-NOTICES: Cargo.lock scripts/third-party.sh $(wildcard nginx-conf/*/www/vendor/vendor.lock sidecar/src/web/admin/pages/vendor/*/vendor.lock)
	@scripts/third-party.sh $@

run: ## run Weir on loopback with a test stream: RTMP_PORT=1935 HTTP_PORT=8080 PREFIX=.run TEST_STREAM=1
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory build
	@RTMP_PORT='$(RTMP_PORT)' HTTP_PORT='$(HTTP_PORT)' PREFIX='$(PREFIX)' TEST_STREAM='$(TEST_STREAM)' exec scripts/run.sh

# The tests whose nginx runs under valgrind: they cover sessions, requests, reloads and the end of a worker. The other tests would
# measure the speed or the processes of valgrind. See tests/src/harness/valgrind.rs.
SANITIZED := $(addsuffix ::,publish_keys names duplicates takeover one_publish commands tokens secrecy pull hazards \
	api state_file zone_full statistics control events workers reload failed_reload worker_death) \
	$(addprefix gop_cache::,a_new a_player_that a_slow a_stream more nothing the_end who with_on) merged::a_player

WITHOUT_ROOT = make test: not root: tests that make network namespaces, mount file systems or run keepalived need root and fail; the others run

# The tests of targets that run with a sanitized nginx. Other tests put Debian's TLS module in front of a target, which does not fit it.
PUSH_SANITIZED := $(addsuffix ::,accounts changes failures lives merged names relay)

# The tests of viewers that run under valgrind. The others send thousands of requests, or run the daemon.
VIEWERS_SANITIZED := edge:: limits:: report:: events:: internal::internal internal::a_pull count::only count::a_

# The module and the fence beneath it have no tests of their own: their symbols are nginx's, so nothing but nginx can link them.
# tests/ runs them.
# Every command selects the same packages: with another selection cargo builds all dependencies a second time.
TESTED := --locked --workspace --exclude weir-ngx-module --exclude ngx-rtmp
CARGO_TEST := $(CARGO) test --no-fail-fast $(TESTED)

test: ## run deps, build and all tests; BUILD=sanitize runs the module's tests with nginx under valgrind
	@[ "$$(id -u)" = 0 ] || echo '$(WITHOUT_ROOT)' >&2
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory build
	@scripts/s3-server.sh
	@scripts/npm-packages.sh
	@scripts/webrtc-client.sh
ifeq ($(BUILD),sanitize)
	WEIR_VALGRIND=1 $(CARGO_TEST) --test module -- --test-threads=4 $(SANITIZED)
	WEIR_VALGRIND=1 $(CARGO_TEST) --test playback -- --test-threads=4 --skip players:: --skip renewed:: --skip fuzz::
	WEIR_VALGRIND=1 $(CARGO_TEST) --test viewers -- --test-threads=4 $(VIEWERS_SANITIZED)
	WEIR_VALGRIND=1 $(CARGO_TEST) --test push -- --test-threads=4 tls:: changes:: accounts::
else
	$(CARGO_TEST) -- --test-threads=3
	@$(MAKE) --no-print-directory sanitized
	WEIR_SANITIZED=1 $(CARGO_TEST) --test module --test guard --test playback --test viewers -- --test-threads=4
	WEIR_SANITIZED=1 $(CARGO_TEST) --test push -- --test-threads=4 $(PUSH_SANITIZED)
	@$(MAKE) --no-print-directory fuzz T=60 SEED=1
endif

# Builds the same nginx and nginx-rtmp with AddressSanitizer and UBSan. The module is that of `make build`.
sanitized:
	@scripts/sanitized-nginx.sh build/sanitized

fuzz: sanitized ## send malformed RTMP for T=60 seconds beside a publisher and a player; SEED= repeats a run
	$(CARGO) build $(TESTED) --bin fuzz
	WEIR_SANITIZED=1 $(TARGET_DIR)/debug/fuzz $(or $(T),60) $(if $(SEED),--seed $(SEED))

test-long: ## run the slow tests: BUILD=sanitize, OBS Studio, the module for another nginx, Debian packages of two releases
	@scripts/deps.sh long
	@$(MAKE) --no-print-directory test BUILD=sanitize
	$(CARGO_TEST) --test module --test interop --test playback --test live --test admin -- --ignored --nocapture --test-threads=1
	$(CARGO_TEST) --lib -- --ignored
	WEIR_EXACT=1 $(CARGO_TEST) --test cluster --test keepalived --test admin --test module --test sidecar -- --test-threads=1
	WEIR_EXACT=1 $(CARGO_TEST) --test cluster --test keepalived -- --ignored --nocapture --test-threads=1
	@$(MAKE) --no-print-directory sanitized
	WEIR_SANITIZED=1 $(CARGO_TEST) --test interop -- --include-ignored --test-threads=2
	WEIR_SANITIZED=1 $(CARGO_TEST) --test playback -- --ignored --nocapture fuzz::
	WEIR_SANITIZED=1 $(CARGO_TEST) --test module -- --ignored --nocapture churn::
	@$(MAKE) --no-print-directory fuzz T=600
	@$(MAKE) --no-print-directory other-nginx SUITES='module guard'
	@$(MAKE) --no-print-directory other-nginx LINK=static
	@$(MAKE) --no-print-directory other-nginx OTHER_NGINX=trixie
	@$(MAKE) --no-print-directory from-source-test
	@$(MAKE) --no-print-directory dist-test packaging-test
	@$(MAKE) --no-print-directory container-test
	@$(MAKE) --no-print-directory deb-test
	@$(MAKE) --no-print-directory deb-test RELEASE=trixie
	@$(MAKE) --no-print-directory deb-reproducible

check: fmt clippy doc deny shellcheck layers docs ## check format, lints, licences, scripts, imports and documentation; needs no running nginx
	@scripts/vendor-check.sh
	@scripts/version-check.sh

fmt: # rustfmt would change nothing
	$(CARGO) fmt --all -- --check

clippy: headers # no warning, in any target
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

doc: headers # no warning in the code's own documentation
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' $(CARGO) doc --locked --workspace --no-deps --document-private-items

deny: # licences, banned crates and sources of the dependencies, by deny.toml
	@scripts/cargo-deny.sh

shellcheck: # the scripts, also those of the packages and of `weir fleet`
	shellcheck --severity=warning scripts/*.sh .ci/run sidecar/src/fleet/script/*.sh nginx-conf/*.sh debian/*.postrm debian/*.prerm debian/tests/publish-and-revoke \
		packaging/alpine/weir.pre-install

# `layers` finds imports that point up, `docs` compares the docs with the code. Neither needs the products of `make build`.
layers docs: headers
	$(CARGO_TEST) --test $@

# The oldest Rust that the workspace supports; rustup installs it.
MSRV := $(shell sed -nE 's/^rust-version = "([^"]+)"/\1/p' Cargo.toml)

msrv-version:
	@echo $(MSRV)

msrv: headers ## compile everything with the oldest supported Rust (needs rustup and that toolchain)
	cargo +$(MSRV) check --locked --workspace --all-targets

# Miri runs neither nginx nor system calls, so it cannot run the fence. It runs tests of the zone, which the fence lends to all workers.
MIRI := rows:: pushes::

miri: ## run the zone's tests under Miri (needs rustup, and a nightly toolchain with miri)
	MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test --locked -p weir-zone --test zone -- $(MIRI)

other-nginx: build ## build another nginx with the module and publish to it: OTHER_NGINX=SOURCE|trixie OTHER_RTMP=SOURCE LINK=dynamic|static SUITES="module guard"
	@LINK='$(or $(LINK),dynamic)' SUITES='$(SUITES)' scripts/other-nginx.sh build/other-nginx $(OTHER_NGINX) $(OTHER_RTMP)

from-source-test: build ## run the commands of docs/from-source.md for another nginx, in overlays (needs root)
	@scripts/from-source-test.sh

# Each release has a folder, so that the packages of the others stay.
DEBS = build/deb/$(or $(RELEASE),$(shell . /etc/os-release && echo "$${VERSION_CODENAME:-here}"))

deb: ## build Debian packages in build/deb/RELEASE, without the network: RELEASE=bookworm|trixie
	@scripts/deps.sh deb
	@scripts/deb.sh $(DEBS) $(RELEASE)

deb-test: deb ## install the packages of build/deb/RELEASE in a chroot and use them there: RELEASE=bookworm|trixie (needs root)
	@scripts/deb-test.sh $(DEBS) $(RELEASE)

container-test: build ## run the steps of packaging/Containerfile in a chroot of Debian 12 (needs root)
	@scripts/deps.sh deb
	@scripts/container-test.sh build/container-test

deb-reproducible: ## build the Debian packages twice, as two users in two folders, and compare them
	@scripts/deps.sh deb
	@scripts/deb-reproducible.sh build/deb-reproducible

dist: ## make the source tarball with all crates, its checksum and SBOM in build/dist
	@scripts/dist.sh build/dist

dist-test: dist ## build the tarball of `make dist` without the network, check its sums and SBOMs, and make it again elsewhere
	@scripts/dist-test.sh build/dist build/dist-test

packaging-test: build ## check the RPM spec and the APKBUILD of packaging/: they install what `make install` does
	@scripts/deps.sh deb
	@scripts/packaging-test.sh build/packaging-test

bench: build ## run the benchmarks: ratios to a peer measured in the same run, one table of all targets, and build/bench.json
	@scripts/deps.sh bench
	$(CARGO) bench --locked -p weir-model -p weir-zone
	BENCH_JSON=build/bench.json $(CARGO) run --locked --release -p weir-tests --bin bench

bench-quick: headers ## compare the module with that of an earlier commit in 5 minutes: BASE=COMMIT
	@scripts/deps.sh bench
	@scripts/bench-quick.sh '$(BASE)'

# nginx resolves a relative path against its own folder of modules, which differs from that of most prefixes.
NGINX_MODULES = $(LIBDIR)/nginx/modules
MODULE_LINE = $(if $(filter /usr/lib/nginx/modules,$(NGINX_MODULES)),modules,$(NGINX_MODULES))/ngx_rtmp_weir_module.so
# The folder where zsh looks below this prefix. Below /usr, packages have a folder of their own.
ZSHDIR ?= $(DATADIR)/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
# Replaces the paths of the default prefix in installed texts.
PATHS = sed -e 's|/usr/bin/weir|$(PREFIX)/bin/weir|g' -e 's|/usr/share/doc/weir|$(DOCDIR)|g'

# $(call not_of_packages,FILES): stops if one of these files belongs to a package of Debian. Files below DESTDIR do not.
not_of_packages = [ -n '$(DESTDIR)' ] || ! command -v dpkg-query >/dev/null || for file in $(1); do \
	owner=$$(dpkg-query -S "$$file" 2>/dev/null | sed 's/:.*//'); [ -z "$$owner" ] || { \
		echo "$$file belongs to the package $$owner: use apt-get, or remove the package first" >&2; exit 1; }; done
# Not empty if the module is for Debian's nginx: its modules are in this folder, or the default of the prefix is used. `make install` then
# writes a link that loads the module. Debian's nginx would not start with the module for another nginx.
IS_LOADED = $(filter /usr/lib/nginx/modules $(LIBDIR)/nginx/modules,$(NGINX_MODULES:%/=%))
# That link, and the file where it leads.
MODULE_LINK = $(SYSCONFDIR)/nginx/modules-enabled/70-mod-rtmp-weir.conf
MODULE_CONF = $(DATADIR)/nginx/modules-available/mod-rtmp-weir.conf

# The umask gives generated files the usual permissions, whatever the umask of the administrator is. `install` sets them for copied files.
install: ## install what `make build` has built: DESTDIR= PREFIX=/usr
	@[ -f build/ngx_rtmp_weir_module.so ] && [ -x build/weir ] && [ -f build/THIRD-PARTY-NOTICES ] || { echo 'nothing to install: run `make build`' >&2; exit 1; }
	@$(call not_of_packages,'$(PREFIX)/bin/weir' '$(NGINX_MODULES)/ngx_rtmp_weir_module.so' $(if $(IS_LOADED),"$$(readlink -f '$(MODULE_LINK)')"))
	install -D -m 0644 build/ngx_rtmp_weir_module.so '$(DESTDIR)$(NGINX_MODULES)/ngx_rtmp_weir_module.so'
	$(if $(IS_LOADED),install -d '$(DESTDIR)$(DATADIR)/nginx/modules-available' '$(DESTDIR)$(SYSCONFDIR)/nginx/modules-enabled')
	$(if $(IS_LOADED),umask 022; echo 'load_module $(MODULE_LINE);' >'$(DESTDIR)$(MODULE_CONF)')
	$(if $(IS_LOADED),ln -sf '$(MODULE_CONF)' '$(DESTDIR)$(MODULE_LINK)')
	install -D -m 0755 build/weir '$(DESTDIR)$(PREFIX)/bin/weir'
	install -d '$(DESTDIR)$(UNITDIR)' '$(DESTDIR)$(LIBDIR)/sysusers.d' '$(DESTDIR)$(LIBDIR)/tmpfiles.d' '$(DESTDIR)$(SYSCONFDIR)/weir'
	umask 022; $(PATHS) -e 's|^Group=www-data$$|Group=$(NGINX_GROUP)|' nginx-conf/systemd/weir.service >'$(DESTDIR)$(UNITDIR)/weir.service'
	install -m 0644 nginx-conf/systemd/sysusers.conf '$(DESTDIR)$(LIBDIR)/sysusers.d/weir.conf'
	umask 022; sed 's|^\(d .* weir \)www-data |\1$(NGINX_GROUP) |' nginx-conf/systemd/tmpfiles.conf >'$(DESTDIR)$(LIBDIR)/tmpfiles.d/weir.conf'
	install -d '$(DESTDIR)$(DATADIR)/man/man1' '$(DESTDIR)$(DATADIR)/man/man5' '$(DESTDIR)$(ZSHDIR)' \
		'$(DESTDIR)$(DATADIR)/bash-completion/completions' '$(DESTDIR)$(DATADIR)/fish/vendor_completions.d'
	umask 022; pages=$$(mktemp -d) && build/weir man "$$pages" && \
		for page in "$$pages"/*; do \
			$(PATHS) "$$page" >'$(DESTDIR)$(DATADIR)/man/man'"$${page##*.}/$${page##*/}" || exit 1; \
		done; status=$$?; rm -rf "$$pages"; exit $$status
	umask 022; build/weir completions bash >'$(DESTDIR)$(DATADIR)/bash-completion/completions/weir'
	umask 022; build/weir completions zsh >'$(DESTDIR)$(ZSHDIR)/_weir'
	umask 022; build/weir completions fish >'$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/weir.fish'
	install -d '$(DESTDIR)$(DOCDIR)/docs' '$(DESTDIR)$(DOCDIR)/examples'
	install -m 0644 README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md RELEASING.md LICENSE build/THIRD-PARTY-NOTICES '$(DESTDIR)$(DOCDIR)/'
	install -m 0644 docs/* '$(DESTDIR)$(DOCDIR)/docs/'
	cp -R nginx-conf/. '$(DESTDIR)$(DOCDIR)/examples/' && chmod -R u=rwX,go=rX '$(DESTDIR)$(DOCDIR)/examples'
	umask 022; for page in README.md docs/*.md; do \
		$(PATHS) "$$page" >'$(DESTDIR)$(DOCDIR)/'"$$page" || exit 1; \
	done
	umask 022; cd nginx-conf && for sample in $$(grep -rl /usr/bin/weir .); do \
		$(PATHS) "$$sample" >'$(DESTDIR)$(DOCDIR)/examples/'"$$sample" || exit 1; \
	done
	ln -sfn examples '$(DESTDIR)$(DOCDIR)/nginx-conf'
	@[ -n '$(DESTDIR)' ] || echo 'Next: systemd-sysusers && systemd-tmpfiles --create, then "Ten minutes to a protected stream" in $(DOCDIR)/README.md'

# Configuration and data stay: weir.toml, secrets, keys, media, and the user weir. A link to the module of another prefix stays too.
uninstall: ## remove the files of `make install`, with the same DESTDIR= PREFIX=; keeps configuration and data
	@$(call not_of_packages,'$(PREFIX)/bin/weir' '$(NGINX_MODULES)/ngx_rtmp_weir_module.so')
	[ "$$(readlink '$(DESTDIR)$(MODULE_LINK)')" != '$(MODULE_CONF)' ] || rm -f '$(DESTDIR)$(MODULE_LINK)'
	rm -f '$(DESTDIR)$(MODULE_CONF)' \
		'$(DESTDIR)$(NGINX_MODULES)/ngx_rtmp_weir_module.so' '$(DESTDIR)$(PREFIX)/bin/weir' \
		'$(DESTDIR)$(UNITDIR)/weir.service' '$(DESTDIR)$(LIBDIR)/sysusers.d/weir.conf' '$(DESTDIR)$(LIBDIR)/tmpfiles.d/weir.conf' \
		'$(DESTDIR)$(DATADIR)/bash-completion/completions/weir' '$(DESTDIR)$(ZSHDIR)/_weir' \
		'$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/weir.fish' \
		'$(DESTDIR)$(DATADIR)'/man/man1/weir.1 '$(DESTDIR)$(DATADIR)'/man/man1/weir-*.1 '$(DESTDIR)$(DATADIR)'/man/man5/weir.toml.5
	rm -rf '$(DESTDIR)$(DOCDIR)'
	-@rmdir --ignore-fail-on-non-empty '$(DESTDIR)$(SYSCONFDIR)/weir' 2>/dev/null

vendor-web: ## download the vendored browser code again, as vendor.lock pins it (needs npm)
	scripts/vendor-web.sh
	@scripts/vendor-check.sh

clean: ## remove everything that was built; keeps downloads
	rm -rf build .run
	$(CARGO) clean
