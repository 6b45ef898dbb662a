import Keys
import RATS
import Testing

@testable import Appraisal

/// The message of Flashbots' proxy after the handshake, whole and in parts.
struct FlashbotsMessageTests {
    private static let exporter = [UInt8](repeating: 0x4E, count: 32)

    private func message(
        _ type: String, _ attestation: [UInt8], behind: [UInt8] = []
    ) -> [UInt8] {
        let body = Pack.scale(Array(type.utf8)) + Pack.scale(attestation) + behind
        return (0..<4).map { UInt8(truncatingIfNeeded: body.count >> (24 - 8 * $0)) } + body
    }

    @Test func aMessageIsBoundToKeyAndExporter() throws {
        let (leaf, other) = (try FakeLeaf(), try FakeLeaf())
        let exporter = FlashbotsMessageTests.exporter
        func code(
            _ bytes: [UInt8], _ binding: [UInt8] = FlashbotsMessageTests.exporter
        ) throws -> String {
            try leaf.code { certificate in
                try FlashbotsMessage.read(bytes)?.message.carried(certificate, binding: binding)
            }
        }
        func quote(_ key: [UInt8], _ exporter: [UInt8]) throws -> [UInt8] {
            try FakeQuote(covering: Digest.sha256(key) + exporter).bytes()
        }
        let spki = leaf.key.spki, bare = Array(leaf.key.spki.suffix(65))
        for type in ["dcap-tdx", "gcp-tdx", "qemu-tdx"] {
            #expect(try code(message(type, quote(spki, exporter))) == "bound")
        }
        let good = message("dcap-tdx", try quote(bare, exporter))
        #expect(try code(good) == "bound")
        #expect(try code(good, [UInt8](repeating: 0, count: 32)) == "session.binding")
        #expect(try code(good, []) == "session.malformed")
        #expect(try code(message("dcap-tdx", quote(other.key.spki, exporter))) == "session.binding")
        #expect(try code(Array(good.dropLast())) == "nothing")
        #expect(try code(FlashbotsMessage.none) == "session.evidence.none")
        #expect(try code(message("azure-tdx", [1])) == "session.evidence.unread")
        for count in 0..<4 { #expect(try code([UInt8](repeating: 0, count: count)) == "nothing") }
        #expect(try code([0, 1, 0, 0]) == "nothing")
        #expect(try code([0, 1, 0, 1]) == "session.malformed")
        let behind = message("dcap-tdx", try quote(spki, exporter), behind: [0])
        #expect(try code(behind) == "session.malformed")
        // What came behind the message is for whoever speaks next.
        #expect(try FlashbotsMessage.read(good + [9, 9])?.consumed == good.count)
        // The later form, `Option` of a quote and its platform, is another protocol's.
        #expect(try code([0, 0, 0, 2, 1, 0]) == "session.malformed")
    }
}
