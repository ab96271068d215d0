#!/usr/bin/perl
# prune-vendor.pl VENDOR CARGO: removes the parts of vendored crates that a build for Linux does not read.
#
# Crates that no Linux target links become empty, except for the manifest, which cargo requires, and the licence, which people need. Other
# crates lose prebuilt libraries and the reports of a coverage tool, and libsqlite3-sys loses SQLite, since Weir links the library of the
# system. The sums in .cargo-checksum.json follow; the sum of the crate stays, so that Cargo.lock still fits.
use strict;
use warnings;
use File::Find;
use File::Path qw(remove_tree make_path);
use JSON::PP;

my ($vendor, $cargo) = @ARGV;
defined $cargo or die "usage: prune-vendor.pl VENDOR CARGO\n";

my @targets = map { "$_-unknown-linux-gnu" } qw(x86_64 aarch64 i686 riscv64gc powerpc64le s390x);
push @targets, 'armv7-unknown-linux-gnueabihf';

my (%linked, $bundles_sqlite);
for my $target (@targets) {
    open my $metadata, '-|', $cargo, qw(metadata --format-version 1 --locked --offline --filter-platform), $target or die "$cargo: $!\n";
    my $resolved = decode_json(do { local $/; <$metadata> });
    close $metadata or die "cargo metadata failed for $target\n";
    my %used = map { $_->{id} => 1 } @{ $resolved->{resolve}{nodes} };
    $linked{"$_->{name}-$_->{version}"} = 1 for grep { $used{ $_->{id} } } @{ $resolved->{packages} };
    my %features = map { $_->{id} => $_->{features} } @{ $resolved->{resolve}{nodes} };
    for my $package (grep { $_->{name} eq 'libsqlite3-sys' } @{ $resolved->{packages} }) {
        $bundles_sqlite = 1 if grep { /^(?:bundled|buildtime_bindgen|in_gecko)/ } @{ $features{ $package->{id} } // [] };
    }
}

my $json = JSON::PP->new->canonical;
opendir my $folder, $vendor or die "$vendor: $!\n";
for my $crate (sort grep { !/^\./ } readdir $folder) {
    my $dir = "$vendor/$crate";
    my $sums_file = "$dir/.cargo-checksum.json";
    my $sums = $json->decode(read_file($sums_file));

    if (!$linked{$crate}) {
        my $text = read_file("$dir/Cargo.toml");
        my %licences = map { $_ => read_file($_) } grep { -f } glob "'$dir/'{LICEN[CS]E,COPYING,COPYRIGHT,UNLICENSE,license}*";
        remove_tree($dir);
        make_path("$dir/src");
        write_file($_, $licences{$_}) for keys %licences;
        # Each target that the manifest names must exist, and the manifest must name at least one.
        $text =~ s/^\[(?:lib|\[(?:bin|test|bench|example)\])\]\n(?:(?!\[).*\n)*//mg;
        write_file("$dir/Cargo.toml", qq{$text\n[lib]\npath = "src/lib.rs"\n});
        write_file("$dir/src/lib.rs", '');
        $sums->{files} = {};
    }
    else {
        my $unused = qr{\.(?:a|lib|o|obj|so|dll|dylib|exe)$|/tarpaulin-report\.html$};
        # Files in the public domain, under no licence of the crate.
        $unused = qr{$unused|/libsqlite3-sys-[^/]+/sqlite3/[^/]+\.[ch]$} unless $bundles_sqlite;
        find({ no_chdir => 1, wanted => sub {
            return unless -f $_ && $_ =~ $unused;
            my $path = substr $_, length("$dir/");
            unlink $_ or die "$_: $!\n";
            delete $sums->{files}{$path};
        } }, $dir);
    }
    write_file($sums_file, $json->encode($sums));
}

sub read_file {
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!\n";
    local $/;
    return <$in>;
}

sub write_file {
    my ($path, $text) = @_;
    open my $out, '>', $path or die "$path: $!\n";
    print $out $text;
    close $out or die "$path: $!\n";
}
