#!/usr/bin/perl
# deb-copyright.pl VENDOR COPYRIGHT.IN: prints debian/copyright: COPYRIGHT.IN, one stanza per vendored crate, and the licence texts.
#
# A licence that is not in /usr/share/common-licenses needs its text, which comes from a crate that has only that licence. A crate without a
# licence, and a licence without a text, are errors.
use strict;
use warnings;

my ($vendor, $head) = @ARGV;
defined $head or die "usage: deb-copyright.pl VENDOR COPYRIGHT.IN\n";

my %common = map { $_ => 1 } qw(Apache-2.0 LGPL-2.1-or-later GPL-2.0-only MPL-2.0 CC0-1.0);
my %file_of = ('LGPL-2.1-or-later' => 'LGPL-2.1', 'GPL-2.0-only' => 'GPL-2');
# Licences that no crate has alone: the file with the text.
my %text_in = (
    '0BSD'         => [ 'vendor/adler2-*', 'LICENSE-0BSD' ],
    'BSD-2-Clause' => [ 'nginx-rtmp', 'LICENSE' ],
    'BSL-1.0'      => [ 'vendor/ryu-*', 'LICENSE-BOOST' ],
    'Unlicense'    => [ 'vendor/memchr-*', 'UNLICENSE' ],
    'Zlib'         => [ 'vendor/tinyvec-*', 'LICENSE-ZLIB' ],
);

my $text = slurp($head);
my %needed = map { $_ => 1 } $text =~ /^License: (\S+)/mg;
my %alone;

opendir my $folder, $vendor or die "$vendor: $!\n";
for my $crate (sort grep { !/^\./ } readdir $folder) {
    my $manifest = slurp("$vendor/$crate/Cargo.toml");
    my ($spdx) = $manifest =~ /^license = "([^"]+)"/m or die "$crate names no licence\n";
    my @texts = sort grep { -f } glob "'$vendor/$crate/'{LICEN[CS]E,COPYING,COPYRIGHT,UNLICENSE,license}*";

    my @holders;
    for my $file (@texts) {
        # The sign is c2 a9 in UTF-8 and a9 in Latin-1. debian/copyright is UTF-8.
        push @holders, map { utf8_of(s/^\s+|[\s.]+$//gr) } slurp($file) =~ /^[\s\/*]*Copyright (?:(?:\([cC]\)|\x{c2}?\x{a9}) )?(\d{4}[^\n]*)$/mg;
    }
    # With `AND`, the texts may name only the holders of one part.
    if (!@holders || $spdx =~ / AND /) {
        my ($authors) = $manifest =~ /^authors = \[(.*?)\]/ms;
        push @holders, $authors =~ /"([^"]+)"/g if $authors;
    }
    my ($name) = $crate =~ /^(.*?)-\d/;
    push @holders, "The authors of $name" unless @holders;
    my %seen;
    @holders = grep { !$seen{$_}++ } @holders;

    # MIT-0 is always one choice of several, and no crate contains its text, so the other choices are used.
    my $license = $spdx =~ s{\s*/\s*}{ OR }gr =~ s/ OR MIT-0\b//gr =~ s/\bMIT-0 OR //gr;
    $alone{$license} //= $texts[0] if $license !~ / / && @texts;
    $needed{$_} = 1 for grep { !/^(?:OR|AND|WITH)$/ } map { s/[()]//gr } split ' ', $license =~ s/ WITH (\S+)/-with-$1/gr;
    $text .= "\nFiles: vendor/$crate/*\nCopyright: " . join("\n           ", @holders) . "\nLicense: " . synopsis($license) . "\n";
}

for my $license (sort keys %needed) {
    $text .= "\nLicense: $license\n" . body($license);
}
print $text;

# Returns an SPDX expression in the form of debian/copyright: with a comma instead of parentheses.
sub synopsis {
    my $license = shift =~ s/ WITH (\S+)/-with-$1/gr;
    $license =~ s/\) AND/), and/g;
    $license =~ s/ AND \(/, and (/g;
    $license =~ s/[()]//g;
    $license =~ s/ OR / or /g;
    $license =~ s/ AND / and /g;
    return $license =~ s/,+/,/gr;
}

sub body {
    my $license = shift;
    if ($license =~ /^(.*)-with-(.*)$/ && $common{$1}) {
        return " $1 with the exception $2.\n .\n" . body($1);
    }
    if ($common{$license}) {
        my $file = $file_of{$license} // $license;
        return " On Debian systems the text is in /usr/share/common-licenses/$file.\n";
    }
    my $file = $alone{$license};
    if (!$file && $text_in{$license}) {
        my ($place, $name) = @{ $text_in{$license} };
        ($file) = glob "'$vendor/../'$place/$name*";
    }
    $file && -f $file or die "no text is known of the licence $license\n";
    return join '', map { /\S/ ? " $_\n" : " .\n" } split /\r?\n/, slurp($file) =~ s/\s+\z//r =~ s/\A\s*\n//r;
}

# Returns bytes in UTF-8: as they are, or from Latin-1.
sub utf8_of {
    my $bytes = shift;
    utf8::encode($bytes) unless utf8::decode(my $copy = $bytes);
    return $bytes;
}

sub slurp {
    my $path = shift;
    open my $in, '<', $path or die "$path: $!\n";
    local $/;
    return <$in>;
}
