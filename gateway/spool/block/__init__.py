"""Blocks: many stored batches in one compressed value. A pure codec, exact to the bit; who merges when is the spool's.

lanes.py     arithmetic on whole columns of 64-bit words
columns.py   columns on disk, and the bounds that keep a hostile length from mattering
times.py     the columns of times
series.py    the values of one point after another
texts.py     texts and the heap they stand in
layout.py    the order of it all: `encode_block`, `decode_block`

Format (codec 2). Numbers are little-endian. A word has 64 bits; sums and products of words are taken modulo 2**64. The
tests hold a second reader, written from this text alone, against the codec.

    number          u64
    stream(n)       u8 0: as it is, 1: zlib (RFC 1950); u32 length; so many bytes. n bytes come out, no more, no fewer
    words(n)        u8 mask, stream(n * bits set): for each bit set, lowest first, that byte of each of the n words
    zigzag          a signed number as a word: 0, -1, 1, -2 ... are 0, 1, 2, 3 ...
    numbers(n)      number `step`; words(n), in zigzag; each times `step`, where that is not 0
    differences(n)  words(n), in zigzag; each word is the sum of all up to it
    rising(n)       number; numbers(n - 1). The first, then each as the sum of those before it. Signed

A block, in this order:

    number B of batches, number N of readings
    rising(B)       numbers of the batches (`seq`)
    rising(B)       when each was accepted, UTC ns
    devices         number D; numbers(D) lengths; stream of that many bytes, UTF-8; words(B), which of them sent a batch
    channels        number C; differences(C), points; words(C), u16 status, u8 kind, u8 flags: the last eight bytes of a
                    record. Each different one once
    shapes          number S; numbers(S) lengths; differences(sum of lengths), channels; words(B), which shape a batch
                    has. A shape is the channels of a batch's readings, in their order
    times           number 0: numbers(B), how long before its acceptance a batch's first reading was taken; number G;
                    numbers(G), places among all readings, the first and then how much further each is; numbers(G),
                    lengths. A reading was taken at the time of the one before it in its batch, or at its place so
                    much later
                    number 1: rising(N), the times of all readings of the first channel, then of the second, and so on
    texts           number T; numbers(T) lengths; stream; words(B), not 0 where a batch's heap is made of texts;
                    numbers(B), lengths of the heaps that are not; stream of these
    series          stream(C), the way in which each channel's words are written; then for each way that occurs, lowest
                    first, one column with the words of all its channels, one channel behind the other:
                    0           differences(number of such channels): all readings of a channel have this word
                    1 2 3 4     differences, of the words without the 0, 16, 29, 40 zeros at their low end
                    8 to 14     differences, of signed numbers m; the word is that of the double m / 10**(way - 8)

The readings of a channel take its words one after the other. Where a batch's heap is made of texts, the word of a
reading of kind STR or BYTES is the number of its text: its heap is these texts in the order of the readings, and the
word of each becomes u32 offset, u32 length. Nothing follows the series. What the lengths must be to make sense is
checked; a block of more than `MOST_READINGS` readings, or with texts or heaps above `LARGEST_HEAPS_BYTES`, is refused.
"""

from gateway.spool.block.layout import Entry, decode_block, encode_block

__all__ = ["Entry", "decode_block", "encode_block"]
