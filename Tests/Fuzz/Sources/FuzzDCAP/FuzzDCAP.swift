import FuzzCertificates
import FuzzSupport
import Glibc
import Keys
import RATS

@testable import Appraisal

@main struct FuzzDCAP {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Quotes, Intel's signed documents, PCK certificates and the map of collateral; the first byte
/// chooses which.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let choice = input.bytes.first else { return 0 }
    let bytes = Array(input.bytes.dropFirst())
    switch choice % 5 {
    case 0: quote(bytes)
    case 1: if let document = document(bytes, "tcbInfo") { _ = try? TCBInfo(document) }
    case 2: identity(bytes)
    case 3: pck(bytes)
    default: collateral(bytes)
    }
    return 0
}

/// A quote reads the same when it is padded, and what is signed stands at its front.
func quote(_ bytes: [UInt8]) {
    guard let quote = try? DCAPQuote(bytes) else { return }
    require(bytes.starts(with: quote.signed), "the signed bytes are those that came")
    require(quote.reportData.count == 64 && quote.signature.count == 64, "lengths")
    if bytes.count < DCAPQuote.maximumSize {
        let padded = try? DCAPQuote(bytes + [0])
        require(padded?.signed == quote.signed && padded?.body == quote.body, "padding")
        require((try? DCAPQuote(bytes + [1])) == nil, "no other padding")
    }
    _ = quote.claims
    _ = try? quote.checkSignatures()
    _ = try? DCAPRules.check(quote)
    let chain = DCAPChain(roots: DCAPRoots.intel, now: now)
    let none = DCAPCollateral(
        tcbInfo: [], qeIdentity: [], tcbSigningChain: [], pckRevocations: [], rootRevocations: [])
    require((try? chain.pck(quote.certificates, none)) == nil, "no chain without lists")
}

func identity(_ bytes: [UInt8]) {
    guard let document = document(bytes, "enclaveIdentity"),
        let identity = try? QEIdentity(document)
    else { return }
    for quote in quotes { _ = try? identity.level(of: quote) }
}

/// What is read of a signed document is what the signature covers, as it came.
func document(_ bytes: [UInt8], _ member: String) -> SignedDocument? {
    guard let document = try? SignedDocument(bytes, member: member) else { return nil }
    require(JSONParser.parse(document.signed) == document.value, "one reading")
    let firsts = bytes.indices.filter { bytes[$0...].starts(with: document.signed) }
    require(!firsts.isEmpty, "the signed bytes are those that came")
    return document
}

/// The extension alone and inside a certificate.
func pck(_ bytes: [UInt8]) {
    let extensions = [(identifier: PCKCertificate.identifier, content: bytes)]
    if let certificate = ForgedCertificate.with(extensions) {
        if let pck = try? PCKCertificate(certificate) {
            require(pck.components.count == 16 && pck.fmspc.count == 6, "lengths")
            require(pck.components.allSatisfy { (0..<1 << 23).contains($0) }, "SVNs")
        }
    }
    if let certificate = try? Certificate(der: bytes) { _ = try? PCKCertificate(certificate) }
}

/// What is read of collateral is written as it came; none of it proves itself.
func collateral(_ bytes: [UInt8]) {
    let endorsement = Endorsement(mediaType: DCAPEvidence.collateralType, bytes: bytes)
    guard let read = try? DCAPEvidence.collateral(in: [endorsement]) else { return }
    require(read.endorsement == endorsement, "written as it came")
    _ = document(read.tcbInfo, "tcbInfo").map { try? TCBInfo($0) }
    _ = document(read.qeIdentity, "enclaveIdentity").map { try? QEIdentity($0) }
    let chain = DCAPChain(roots: [[UInt8](repeating: 0, count: 32)], now: now)
    require((try? chain.tcbSigner(read)) == nil, "no other root")
}

/// 2026-07-01T00:00:00Z.
let now: Int64 = 1_782_864_000

/// One quote of SGX and one of TDX, all zeros where a zero will do; made anew, since the leak
/// checker does not know a kept one's pointers, in which Swift marks the case of the enum.
var quotes: [DCAPQuote] {
    [makeQuote(tee: 0, body: 384), makeQuote(tee: 0x81, body: 584)].compactMap(\.self)
}

func makeQuote(tee: UInt8, body: Int) -> DCAPQuote? {
    func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
    func sized(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8(bytes.count & 0xFF), UInt8(bytes.count >> 8), 0, 0] + bytes
    }
    let inner = zeros(384 + 64 + 2) + [5, 0] + sized([])
    let head: [UInt8] = [4, 0, 2, 0, tee, 0, 0, 0] + zeros(4) + DCAPQuote.intelVendor + zeros(20)
    return try? DCAPQuote(head + zeros(body) + sized(zeros(128) + [6, 0] + sized(inner)))
}
