import FuzzCertificates
import FuzzSupport
import Glibc
import Keys
import RATS

@testable import Appraisal

@main struct FuzzSNP {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Reports, the map they travel in, and AMD's extensions; the first byte chooses which.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let choice = input.bytes.first else { return 0 }
    let bytes = Array(input.bytes.dropFirst())
    switch choice % 4 {
    case 0: report(bytes)
    case 1: evidence(bytes)
    case 2: extensions(bytes)
    default:
        if let certificate = try? Certificate(der: bytes) { check(SNPKeyCertificate(certificate)) }
    }
    return 0
}

func report(_ bytes: [UInt8]) {
    guard let report = try? SNPReport(bytes) else { return }
    require(report.bytes == bytes && bytes.starts(with: report.signed), "as it came")
    require(report.signature.count == 96 && report.reportData.count == 64, "lengths")
    require((report.product == nil) == (report.version == 2), "a product from version 3 on")
    _ = report.claims
    for product in SNPProduct.allCases {
        for raw in [report.reportedTCB, report.committedTCB] {
            guard let tcb = SNPTCB(raw, product: product) else { continue }
            require((tcb.fmc != nil) == (product == .turin), "fmc on Turin only")
            require(tcb.shortfall(below: tcb) == nil, "no TCB is below itself")
        }
    }
}

/// The whole way up to the signature, which the binding does not stop.
func evidence(_ bytes: [UInt8]) {
    guard let fields = try? CBORFields(decoding: bytes, allowed: [1, 2, 3]),
        let raw = try? fields.bytes(1), let report = try? SNPReport(raw)
    else { return }
    let binding = Appraiser.ExpectedBinding(
        reportData: report.reportData,
        tpmQualifyingData: [UInt8](repeating: 0, count: 32)
    )
    let evidence = Evidence(.snp, bytes: bytes)
    let authentic = try? SNPEvidence.authenticate(evidence, endorsements: [], expected: binding)
    guard let authentic, case .snp(let snp) = authentic.detail else { return }
    require(snp.report.bytes == raw, "as it came")
}

/// Extensions one after the other: place in AMD's arc, length, content.
func extensions(_ bytes: [UInt8]) {
    let names = ["1", "2", "3.1", "3.2", "3.3", "3.8", "3.9", "4", "5"]
    var list: [(identifier: String, content: [UInt8])] = []
    var rest = bytes[...]
    while rest.count >= 2, list.count < 32 {
        let name = names[Int(rest.removeFirst()) % names.count]
        let size = min(Int(rest.removeFirst()), rest.count)
        list.append((identifier: "1.3.6.1.4.1.3704.1." + name, content: Array(rest.prefix(size))))
        rest = rest.dropFirst(size)
    }
    guard let certificate = ForgedCertificate.with(list) else { return }
    let key = SNPKeyCertificate(certificate)
    check(key)
    for (name, value) in key.levels.filter({ $0.value != nil }) {
        require(list.contains { $0.content == DER.integer([value ?? 0]) }, "\(name) is DER")
    }
}

func check(_ key: SNPKeyCertificate) {
    let parts = key.levels.filter { $0.name != "fmc" }
    require((key.tcb != nil) == parts.allSatisfy { $0.value != nil }, "a TCB of all parts")
    require(SNPKeyCertificate.isOne(key.certificate) == (key.productName != nil), "one of AMD's")
    for text in [key.productName, key.providerID].compactMap(\.self) {
        require(text.utf8.allSatisfy { (0x20..<0x7F).contains($0) }, "visible ASCII")
    }
    _ = key.hardwareID
}
