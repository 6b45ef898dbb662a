import Keys
import Testing

@testable import Appraisal

/// The encodings that other systems use, read strictly.
struct ForeignEncodingTests {
    @Test func compactLengthsAreTheShortest() {
        for count in [0, 1, 63, 64, 16_383, 16_384] {
            let bytes = [UInt8](repeating: 9, count: count)
            var reader = ScaleReader(Pack.scale(bytes))
            #expect(reader.bytes() == bytes)
            #expect(reader.isAtEnd)
        }
        // 63 in two bytes, 16,383 in four, lengths of 2^30, and more than there is.
        for bad: [UInt8] in [
            [0xFD, 0] + [UInt8](repeating: 0, count: 63), [3, 0, 0, 0, 0], [8, 1],
        ] {
            var reader = ScaleReader(bad)
            #expect(reader.bytes() == nil)
        }
        var reader = ScaleReader([0xFE, 0xFF, 0, 0] + [UInt8](repeating: 0, count: 16_383))
        #expect(reader.bytes() == nil)
        reader = ScaleReader([8, 0xC3, 0x28])
        #expect(reader.text() == nil)
        reader = ScaleReader([12, 1, 2, 3])
        #expect(reader.list(limit: 2, { $0.u8() }) == nil)
        reader = ScaleReader([12, 1, 2, 3])
        #expect(reader.list(limit: 3, { $0.u8() }) == [1, 2, 3])
    }

    @Test func messagePackIsReadStrictly() {
        let cases: [([UInt8], MessagePack?)] = [
            ([0x05], .unsigned(5)), ([0xCD, 1, 0], .unsigned(256)), ([0xFF], .negative(-1)),
            ([0xD1, 0xFF, 0], .negative(-256)), ([0xD0, 5], .unsigned(5)),
            ([0xD0, 0], .unsigned(0)),
            ([0xC0], .null), ([0xC3], .bool(true)), ([0xC4, 1, 7], .bytes([7])),
            ([0xA1, 0x61], .text("a")), ([0x92, 1, 2], .array([.unsigned(1), .unsigned(2)])),
            ([0x81, 0xA1, 0x61, 1], .map([.init(key: "a", value: .unsigned(1))])),
            // A float, an extension, and what is never used.
            ([0xCA, 0, 0, 0, 0], nil), ([0xD4, 1, 1], nil), ([0xC1], nil),
            // Bytes behind, text that is none, a key twice or of another type, cut short.
            ([0x05, 0], nil), ([0xA1, 0xFF], nil), ([0x82, 0xA1, 0x61, 1, 0xA1, 0x61, 1], nil),
            ([0x81, 1, 1], nil), ([0x92, 1], nil), ([0xDD, 0xFF, 0xFF, 0xFF, 0xFF], nil), ([], nil),
            ([0xDF, 0xFF, 0xFF, 0xFF, 0xFF], nil), ([0x82, 0xA1, 0x61, 1], nil),
        ]
        for (bytes, value) in cases { #expect(MessagePack.decode(bytes) == value, "\(bytes)") }
        let deep = [UInt8](repeating: 0x91, count: MessagePack.maxDepth) + [1]
        #expect(MessagePack.decode(deep) == nil)
        #expect(MessagePack.decode(Array(deep.dropFirst())) != nil)
        // An array of numbers, which with itself has as many items as there may be, and one more.
        for count in [MessagePack.maxItems - 1, MessagePack.maxItems] {
            let size = (0..<4).map { UInt8(truncatingIfNeeded: count >> (24 - 8 * $0)) }
            let value = MessagePack.decode([0xDD] + size + [UInt8](repeating: 0, count: count))
            #expect(value?.items?.count == (count < MessagePack.maxItems ? count : nil))
        }
        #expect(MessagePack.array([.unsigned(1), .unsigned(256)]).octets == nil)
        #expect(MessagePack.decode(Pack.numbers([1, 200]))?.octets == [1, 200])
    }

    // By zlib, compressobj(9, DEFLATED, 31): with the fixed code and with codes of its own.
    private let fixed = "1f8b0800000000000203cb48cdc9c957c8402701e3513d8d17000000"
    private let dynamic = """
        1f8b080000000000020365925d8ec2300c84afe223a4f96993709a459b97aea00221409c7eed249eb4629e3ad3\
        56f9e2717996eb834ca61395fa38653aebb3cd548a1a97695d57753ed38da53664fa88d4cf99feaa345832bd9b\
        3489992e5d1aa51d0623bd6018ea7e8763ac6ddb6019ecca82f7f5f5ee83207f8b9030deab091103fe76218b3b\
        1e6603ba35723db8a95e1ed61e4763dbe0c6e8ac97b18a9030e1b9091123fe74215b068f65b6f17f92235094a9\
        00b00d0f7ccef66e1038ed0689473788c2f77cdc3c781cb361be2e4a0570a91684cd31ad1ff8a9d783c06a3b48\
        1c0e47e4bfd7c787c1e36503611619015c3cccc7a7d60f56d9f47a104cda0e128b72103954383ef3832730db38\
        621602b8e5b03f21b67ee053afe744ff1c345302ad030000
        """

    @Test func deflateIsReadWithEveryCode() throws {
        let short = try #require(Hex.decode(fixed)), long = try #require(Hex.decode(dynamic))
        #expect(
            Gzip.decompress(short, limit: 23).map { String(decoding: $0, as: UTF8.self) }
                == "hello hello hello hello")
        #expect(Gzip.decompress(short, limit: 22) == nil)
        let events = (0..<60).map { index in
            let letter = String(UnicodeScalar(UInt8(97 + index * index % 26)))
            return "event \(index): \(String(repeating: letter, count: index % 9)); "
        }.joined()
        #expect(Gzip.decompress(long, limit: 4_096) == Array(events.utf8))
        for offset in 10..<long.count {
            var changed = long
            changed[offset] ^= 0x10
            #expect(Gzip.decompress(changed, limit: 4_096) == nil, "offset \(offset)")
        }
    }

    @Test func gzipIsReadWithItsChecksum() throws {
        let text = [UInt8]((0..<2_000).map { UInt8($0 % 251) })
        let stored = Pack.gzip(text)
        #expect(Gzip.decompress(stored, limit: 2_000) == text)
        #expect(Gzip.decompress(stored, limit: 1_999) == nil)
        for offset in [0, 2, 3, stored.count - 1, stored.count - 5, 11, 13, 20] {
            var changed = stored
            changed[offset] ^= 0xE1
            #expect(Gzip.decompress(changed, limit: 4_000) == nil, "offset \(offset)")
        }
        #expect(Gzip.decompress(stored + [0], limit: 4_000) == nil)
        #expect(Gzip.decompress(Array(stored.dropLast()), limit: 4_000) == nil)
    }
}
