import FuzzSupport
import Glibc
import Keys
import RATS

@testable import Appraisal

@main struct FuzzNitro {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// COSE documents, their payloads, and CBOR as others write it; the first byte chooses which.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let choice = input.bytes.first else { return 0 }
    let bytes = Array(input.bytes.dropFirst())
    switch choice % 3 {
    case 0: evidence(bytes)
    case 1: document(bytes)
    default: lenient(bytes)
    }
    return 0
}

/// The way with a binding admits no more than the way without.
func evidence(_ bytes: [UInt8]) {
    let unbound = try? NitroEvidence.unbound(bytes)
    let binding = Appraiser.ExpectedBinding(
        reportData: [UInt8](repeating: 0, count: 64),
        tpmQualifyingData: [UInt8](repeating: 0, count: 32),
        nitro: .init(nonce: [UInt8](repeating: 0, count: 48), publicKey: [0])
    )
    let bound = try? NitroEvidence.authenticate(Evidence(.nitro, bytes: bytes), expected: binding)
    require(bound == nil || unbound != nil, "a binding admits nobody")
}

func document(_ bytes: [UInt8]) {
    guard let document = try? NitroDocument(bytes) else { return }
    require(document.pcrs.keys.allSatisfy { (0..<32).contains($0) }, "indices of PCRs")
    require((1...NitroDocument.maxBundle).contains(document.bundle.count), "the bundle's limit")
    require(Int64(exactly: document.timestamp) != nil, "a time")
    _ = document.claims
    _ = try? Certificate(der: document.certificate)
}

/// What the strict rules read, the others read alike; what the others read has one encoding.
func lenient(_ bytes: [UInt8]) {
    let strict = try? CBORDecoder.decode(bytes)
    guard let value = try? CBORDecoder.decode(bytes, rules: .anyOrder) else {
        return require(strict == nil, "no rule is stricter than the strict ones")
    }
    require(strict == nil || strict == value, "one reading")
    let encoded = value.encoded()
    require(encoded.count <= bytes.count + 8 * bytes.count, "no growth without bound")
    let again = try? CBORDecoder.decode(encoded)
    require(again?.encoded() == encoded, "one encoding")
}
