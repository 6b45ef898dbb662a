import FuzzCertificates
import FuzzSupport
import Glibc
import Keys
import RATS

@testable import Appraisal

@main struct FuzzDialects {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// What other systems write: SCALE, MessagePack, GZIP, JSON of endpoints, id-pe-cmw; the first byte
/// chooses which. Nothing of it is signed, so nothing may be authentic.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let choice = input.bytes.first, let certificate = forged else { return 0 }
    let bytes = Array(input.bytes.dropFirst())
    switch choice % 8 {
    case 0: check(try? DstackAttestation(bytes).carried("fuzz", certificate))
    case 1: messagePack(bytes)
    case 2: gzip(bytes)
    case 3: check(try? CMWExtension.read(bytes, "fuzz", certificate))
    case 4: check(try? CCCEvidence.read(bytes, "fuzz", certificate))
    case 5: endpoint(.tinfoil, bytes, certificate)
    case 6: endpoint(.near, bytes, certificate)
    default: message(bytes, certificate)
    }
    return 0
}

private let forged = ForgedCertificate.with([])
private let nonce = [UInt8](repeating: 0, count: 32)

func check(_ carried: CarriedEvidence?) {
    guard let carried else { return }
    require(!carried.evidence.isEmpty, "a form without Evidence")
    require((try? carried.authenticate()) == nil, "Evidence of the fuzzer's holds")
}

func messagePack(_ bytes: [UInt8]) {
    guard let value = MessagePack.decode(bytes) else { return }
    require(depth(value) <= MessagePack.maxDepth, "the limit of nesting")
    require(MessagePack.decode(bytes + [0]) == nil, "nothing behind the item")
    if let octets = value.octets { require(octets.count <= bytes.count, "no growth") }
}

func depth(_ value: MessagePack) -> Int {
    switch value {
    case .array(let items): 1 + (items.map(depth).max() ?? 0)
    case .map(let entries): 1 + (entries.map { depth($0.value) }.max() ?? 0)
    default: 1
    }
}

func gzip(_ bytes: [UInt8]) {
    let limit = 4_096
    if let content = Gzip.decompress(bytes, limit: limit) {
        require(content.count <= limit, "the limit of content")
        require(Gzip.decompress(bytes + [0], limit: limit) == nil, "nothing behind the member")
    }
}

func endpoint(_ endpoint: AttestationEndpoint, _ bytes: [UInt8], _ certificate: Certificate) {
    let carried = try? endpoint.read(bytes, nonce: nonce, certificate: certificate)
    check(carried.flatMap(\.self))
}

func message(_ bytes: [UInt8], _ certificate: Certificate) {
    guard let (message, consumed) = (try? FlashbotsMessage.read(bytes)).flatMap(\.self) else {
        return
    }
    require(consumed <= bytes.count, "no more than there is")
    check(try? message.carried(certificate, binding: nonce))
}
