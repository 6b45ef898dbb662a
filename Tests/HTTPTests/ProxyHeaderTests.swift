import HTTP
import Testing

struct ProxyHeaderTests {
    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]
    private static let four: [UInt8] = [192, 0, 2, 7, 198, 51, 100, 9, 0x10, 0x92, 0x01, 0xBB]
    private static let six = (0..<32).map { UInt8($0) } + [0x10, 0x92, 0x01, 0xBB]

    private func header(
        _ command: UInt8, _ family: UInt8, _ body: [UInt8], length: Int? = nil
    ) -> [UInt8] {
        let size = length ?? body.count
        return ProxyHeaderTests.signature + [command, family, UInt8(size >> 8), UInt8(size & 255)]
            + body
    }

    private func code(_ bytes: [UInt8]) -> String? {
        do throws(HTTPRefusal) {
            _ = try ProxyHeader.parse(bytes.span)
            return nil
        } catch {
            return error.code
        }
    }

    @Test func bothEndsAreRead() throws {
        let parsed = try ProxyHeader.parse((header(0x21, 0x11, Self.four) + [1, 2]).span)
        #expect(parsed?.consumed == 28)
        #expect(
            parsed?.header.origin
                == .relayed(
                    source: ProxyHeader.Endpoint(address: [192, 0, 2, 7], port: 4242),
                    destination: ProxyHeader.Endpoint(address: [198, 51, 100, 9], port: 443)))
        let other = try ProxyHeader.parse(header(0x21, 0x21, Self.six).span)
        guard case .relayed(let source, let destination)? = other?.header.origin else {
            Issue.record("no ends")
            return
        }
        #expect(source.address == Array(0..<16) && source.port == 4242)
        #expect(destination.address == Array(16..<32) && destination.port == 443)
        for bytes in [header(0x21, 0x11, Self.four), header(0x21, 0x21, Self.six)] {
            #expect(try ProxyHeader.parse(bytes.span)?.header.serialise() == bytes)
        }
    }

    @Test func everyPrefixNeedsMore() throws {
        let whole = header(0x21, 0x21, Self.six + [4, 0, 3, 1, 2, 3])
        for count in 0..<whole.count {
            #expect(try ProxyHeader.parse(Array(whole[..<count]).span) == nil)
        }
        #expect(try ProxyHeader.parse(whole.span)?.consumed == whole.count)
    }

    @Test func whatHasNoAddressSaysSo() throws {
        let cases: [([UInt8], ProxyHeader.Origin)] = [
            (header(0x20, 0x00, []), .local),
            // What comes with LOCAL is passed over, whatever it is.
            (header(0x20, 0x11, [9, 9, 9]), .local),
            (header(0x21, 0x00, []), .unknown), (header(0x21, 0x00, [1]), .unknown),
            (header(0x21, 0x31, [UInt8](repeating: 0, count: 216)), .unknown),
        ]
        for (bytes, origin) in cases {
            let parsed = try ProxyHeader.parse(bytes.span)
            #expect(parsed?.header.origin == origin && parsed?.consumed == bytes.count)
        }
        #expect(ProxyHeader(.local).serialise() == header(0x20, 0, []))
        #expect(ProxyHeader(.unknown).serialise() == header(0x21, 0, []))
        let mixed = ProxyHeader(
            .relayed(
                source: ProxyHeader.Endpoint(address: [1, 2, 3, 4], port: 1),
                destination: ProxyHeader.Endpoint(address: Array(0..<16), port: 2)))
        #expect(mixed.serialise() == header(0x21, 0, []))
    }

    @Test func whatIsNotAsTheProtocolHasItIsRefused() {
        #expect(code(Array("GET / HTTP/1.1\r\n".utf8)) == "proxy_protocol.signature")
        #expect(code(Array("\r\n\r\n\u{0}\r\nQUIz".utf8)) == "proxy_protocol.signature")
        #expect(code(header(0x11, 0x11, Self.four)) == "proxy_protocol.version")
        #expect(code(ProxyHeaderTests.signature + [0x31]) == "proxy_protocol.version")
        #expect(code(header(0x22, 0x11, Self.four)) == "proxy_protocol.command")
        for family: UInt8 in [0x01, 0x10, 0x12, 0x22, 0x32, 0x41, 0xFF] {
            #expect(code(header(0x21, family, Self.four)) == "proxy_protocol.family")
        }
        #expect(code(header(0x21, 0x11, [], length: 11)) == "proxy_protocol.length")
        #expect(code(header(0x21, 0x21, [], length: 35)) == "proxy_protocol.length")
        #expect(code(header(0x21, 0x31, [], length: 215)) == "proxy_protocol.length")
        // 16 and 520 are the limit; LOCAL too may not be longer.
        #expect(code(header(0x20, 0x00, [], length: 520)) == nil)
        #expect(code(header(0x20, 0x00, [], length: 521)) == "proxy_protocol.length")
        #expect(code(header(0x21, 0x11, [], length: 0xFFFF)) == "proxy_protocol.length")
    }

    @Test func extensionsFillTheHeaderAndTheChecksumHolds() {
        for extra: [UInt8] in [
            [4], [4, 0], [4, 0, 1], [4, 0, 2, 1], [4, 1, 0, 1], [4, 0, 0, 9],
        ] {
            #expect(code(header(0x21, 0x11, Self.four + extra)) == "proxy_protocol.extension")
        }
        #expect(code(header(0x21, 0x11, Self.four + [4, 0, 0, 5, 0, 1, 7])) == nil)
        // The CRC32c of this very header, worked out apart.
        let good: [UInt8] = [3, 0, 4, 0xF3, 0xB9, 0x64, 0x5F]
        #expect(code(header(0x21, 0x11, Self.four + good)) == nil)
        for index in 3..<7 {
            var bad = good
            bad[index] ^= 1
            #expect(code(header(0x21, 0x11, Self.four + bad)) == "proxy_protocol.checksum")
        }
        for extra in [good + good, [3, 0, 3, 1, 2, 3], [3, 0, 5, 1, 2, 3, 4, 5]] {
            #expect(code(header(0x21, 0x11, Self.four + extra)) == "proxy_protocol.checksum")
        }
    }
}
