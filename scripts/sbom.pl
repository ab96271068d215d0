#!/usr/bin/perl
# sbom.pl SBOM FOLDER [LOCK...]: prints a completed SBOM of cargo-cyclonedx.
#
# cargo-cyclonedx identifies Weir's own crates by their FOLDER on this machine. This script replaces the folder, so that the same source
# gives the same SBOM. cargo-cyclonedx knows only crates: each LOCK (vendor.lock) adds the browser code that the programs or pages contain.
use strict;
use warnings;
use JSON::PP;

my ($file, $folder, @locks) = @ARGV;
defined $folder or die "usage: sbom.pl SBOM FOLDER [LOCK...]\n";

my $text = read_file($file);
(my $encoded = $folder) =~ s{([^A-Za-z0-9/._~+-])}{sprintf '%%%02X', ord $1}ge;
$text =~ s{path\+file://\Q$encoded\E}{path+file:///usr/src/weir}g;
my $sbom = decode_json($text);

my %npm;
for my $lock (@locks) {
    my @lines = split /\n/, read_file($lock);
    my %fact = map { /^(name|version|licence) (.+)$/ ? ($1 => $2) : () } @lines;
    add(@fact{qw(name version licence)});
    # What compressed code contains of others.
    /^bundles (\S+) (\S+) \S+ (\S+)/ and add($1, $2, $3) for @lines;
}
push @{ $sbom->{components} }, map { $npm{$_} } sort keys %npm;
push @{ $sbom->{dependencies} }, map { { ref => $_ } } sort keys %npm;
print JSON::PP->new->utf8->canonical->pretty->indent_length(2)->encode($sbom);

sub add {
    my ($name, $version, $licence) = @_;
    my $purl = "pkg:npm/$name\@$version";
    $purl =~ s{/\@}{/%40};
    $npm{$purl} = {
        type => 'library', 'bom-ref' => $purl, purl => $purl, name => $name, version => $version, scope => 'required',
        licenses => [{ expression => $licence }],
    };
}

sub read_file {
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!\n";
    local $/;
    return <$in>;
}
