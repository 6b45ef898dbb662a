import Keys
import RATS
import Testing

@testable import Attestation

/// What hosts and devices say, read strictly.
struct HostMessageTests {
    private func code<Value>(_ work: () throws(Refusal) -> Value) -> String {
        do throws(Refusal) {
            _ = try work()
            return "read"
        } catch {
            return error.code
        }
    }

    private func number(_ value: Int) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    private func entry(_ guid: String, _ offset: Int, _ length: Int) -> [UInt8] {
        (Hex.decode(guid) ?? []) + number(offset) + number(length)
    }

    private let vcek = "63da758de6644564adc5f4b93be8accd"
    private let ask = "4ab7b379bbac4fe4a02f05aef327c782"
    private let list = "92f81bc358114d3d97ffd19f88dc67ea"
    private let end = [UInt8](repeating: 0, count: 24)

    @Test func aTableOfCertificatesIsRead() throws {
        let table =
            entry(vcek, 120, 2) + entry("00112233445566778899aabbccddeeff", 0, 9)
            + entry(list, 124, 1) + entry(ask, 122, 2) + end + [1, 2, 3, 4, 5]
        let read = try SNPCertificateTable(table)
        #expect(read.certificates == [[1, 2], [3, 4]])
        #expect(read.revocationList == [5])
        // Microsoft's form swaps the first three fields.
        let swapped = entry("8d75da6364e66445adc5f4b93be8accd", 48, 1) + end + [7]
        #expect(try SNPCertificateTable(swapped).certificates == [[7]])
        for nothing in [[], [UInt8](repeating: 0, count: 4096)] {
            #expect(try SNPCertificateTable(nothing).certificates.isEmpty)
        }
    }

    @Test func aTableThatContradictsItselfIsRefused() {
        let tables = [
            entry(vcek, 48, 3) + end + [1, 2], entry(vcek, 0xFFFF_FFFF, 1) + end,
            entry(vcek, 1, 0xFFFF_FFFF) + end, entry(vcek, 24, 0) + end, entry(vcek, 0, 1), [1],
            (0..<17).flatMap { _ in entry(vcek, 0, 1) } + end,
            entry(vcek, 48, 6) + end + Array("-----x".utf8),
        ]
        for table in tables {
            let found = code { () throws(Refusal) in try SNPCertificateTable(table) }
            #expect(found == "snp.certificates.malformed")
        }
    }

    @Test func theQuotingServiceIsAskedAsIntelsLibraryAsks() {
        let report = (0..<1024).map { UInt8(truncatingIfNeeded: $0) }
        let message = QuotingService.request(report)
        let header: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 0x18, 4, 0, 0, 0, 0, 0, 0]
        #expect(message == header + [0, 4, 0, 0, 0, 0, 0, 0] + report)
        #expect(QuotingService.framed(message).prefix(4) == [0, 0, 4, 0x18])
    }

    @Test func itsAnswerIsHeldToItsLayout() throws {
        func answer(
            major: UInt8 = 1, minor: UInt8 = 1, type: Int = 1, error: Int = 0, chosen: Int = 2,
            length: Int = 3, size: Int = 29, body: [UInt8] = [9, 9, 1, 2, 3]
        ) -> [UInt8] {
            [major, 0, minor, 0] + number(type) + number(size) + number(error) + number(chosen)
                + number(length) + body
        }
        #expect(try QuotingService.quote(in: answer()) == [1, 2, 3])
        #expect(try QuotingService.quote(in: answer(minor: 0)) == [1, 2, 3])
        let others = [
            answer(major: 2), answer(type: 0), answer(error: 0x12001), answer(size: 28),
            answer(chosen: 6), answer(length: 4), answer(length: 2),
            answer(chosen: 5, length: 0), answer(body: [9, 9]), Array(answer().prefix(15)), [],
        ]
        for other in others {
            let found = code { () throws(Refusal) in try QuotingService.quote(in: other) }
            #expect(found == "tdx.quoting_service")
        }
    }

    @Test func theNitroModuleIsAskedForWhatTheChallengeCovers() throws {
        let bare = QuoteChallenge(
            tpmQualifyingData: [], gpuNonce: { _ in [] }, reportData: { _ in [1] })
        let full = QuoteChallenge(
            tpmQualifyingData: [], gpuNonce: { _ in [] }, reportData: { _ in [1] },
            nitro: .init(nonce: [2], publicKey: [3]))
        func fields(_ challenge: QuoteChallenge) throws -> [String: CBORValue] {
            let value = try CBORDecoder.decode(NitroAttester.request(challenge))
            let inner = try #require(value.entries?.first)
            #expect(inner.key == .text("Attestation"))
            var fields: [String: CBORValue] = [:]
            for entry in inner.value.entries ?? [] {
                fields[entry.key.textString ?? ""] = entry.value
            }
            return fields
        }
        #expect(
            try fields(bare) == ["user_data": .bytes([1]), "nonce": .null, "public_key": .null])
        #expect(
            try fields(full)
                == ["user_data": .bytes([1]), "nonce": .bytes([2]), "public_key": .bytes([3])])
    }

    @Test func itsAnswerMustBeADocument() throws {
        func answer(_ name: String, _ value: CBORValue) -> [UInt8] {
            CBORValue.named([(name, value)]).encoded()
        }
        let good = answer("Attestation", .named([("document", .bytes([1]))]))
        #expect(try NitroAttester.document(in: good) == [1])
        let others = [
            answer("Error", .text("InvalidArgument")), answer("Attestation", .named([])),
            answer("Attestation", .named([("document", .bytes([]))])),
            answer("DescribeNSM", .named([("document", .bytes([1]))])), good + [0], [],
        ]
        for other in others {
            #expect(
                code { () throws(Refusal) in try NitroAttester.document(in: other) } == "nitro.nsm")
        }
    }
}
