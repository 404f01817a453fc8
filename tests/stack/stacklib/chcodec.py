"""How bodies are packed on the way to and from ClickHouse. Decoders turn an iterator of chunks into another; damage and
truncation are a ValueError."""

import struct
import zlib

import lz4.block
import lz4.frame
from clickhouse_cityhash.cityhash import CityHash128

LZ4, NONE = 0x82, 0x02
HEADER = struct.Struct("<BII")  # method, size with this header, size unpacked; before it, the checksum of both
LARGEST = 1 << 30  # ClickHouse's own limit of a block


def checksum(data):
    """CityHash128 of ClickHouse's version; this package has the halves the other way round."""
    value = CityHash128(data)
    return struct.pack("<QQ", value >> 64, value & (1 << 64) - 1)


def unpack_blocks(chunks):
    """ClickHouse's own framing, `decompress=1`."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        at = 0
        while len(waiting) - at >= 25:
            method, packed, size = HEADER.unpack_from(waiting, at + 16)
            if packed < HEADER.size or packed > LARGEST or size > LARGEST:
                raise ValueError("not a compressed block")
            if len(waiting) - at < 16 + packed:
                break
            block = bytes(waiting[at + 16:at + 16 + packed])
            if checksum(block) != waiting[at:at + 16]:
                raise ValueError("Checksum doesn't match: corrupted data")
            if method == LZ4:
                yield lz4.block.decompress(block[9:], uncompressed_size=size)
            elif method == NONE:
                yield block[9:]
            else:
                raise ValueError(f"compression method {method:#x}; this server knows LZ4 and NONE")
            at += 16 + packed
        del waiting[:at]
    if waiting:
        raise ValueError("the last compressed block is cut off")


def pack_blocks(data):
    """The same framing for an answer, `compress=1`."""
    for at in range(0, len(data), 1 << 20):
        part = data[at:at + (1 << 20)]
        packed = lz4.block.compress(part, store_size=False)
        block = HEADER.pack(LZ4, len(packed) + HEADER.size, len(part)) + packed
        yield checksum(block) + block


def unpack_stream(chunks, new):
    """A Content-Encoding whose decompressor has .eof and .unused_data; several frames may follow each other."""
    decoder, started = None, False
    for chunk in chunks:
        while chunk:
            if decoder is None:
                decoder = new()
            yield decoder.decompress(chunk)
            started, chunk = True, b""
            if decoder.eof:
                decoder, chunk = None, decoder.unused_data or b""
    if decoder is not None or not started:
        raise ValueError("the compressed body is cut off")


DECODERS = {
    "lz4": lambda chunks: unpack_stream(chunks, lz4.frame.LZ4FrameDecompressor),
    "gzip": lambda chunks: unpack_stream(chunks, lambda: zlib.decompressobj(31)),
    "deflate": lambda chunks: unpack_stream(chunks, zlib.decompressobj),
}


def pack_gzip(data):
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(data) + packer.flush()


ENCODERS = {"lz4": lambda data: lz4.frame.compress(data, store_size=False), "gzip": pack_gzip}
