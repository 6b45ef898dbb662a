import FuzzCertificates
import FuzzSupport
import Glibc
import Keys
import RATS

@testable import Appraisal

@main struct FuzzBundle {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Evidence in files of every kind, reports of a paravisor, and Evidence in certificates; the first
/// byte chooses which. Nothing of it is signed, so nothing may be authentic.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let choice = input.bytes.first else { return 0 }
    let bytes = Array(input.bytes.dropFirst())
    switch choice % 4 {
    case 0: file(bytes)
    case 1: paravisor(bytes)
    case 2: certificate(bytes, choice)
    default: revocations(bytes)
    }
    return 0
}

func file(_ bytes: [UInt8]) {
    guard let bundle = EvidenceBundle(file: bytes) else { return }
    _ = bundle.needs
    // The window of nothing: seeds are of other times.
    let findings = try? bundle.authenticate(now: 0)
    require(findings == nil, "a file of the fuzzer's is authentic")
}

func paravisor(_ bytes: [UInt8]) {
    guard let report = try? HCLReport(bytes) else { return }
    require(report.report.count == HCLReport.reportSize, "another size of report")
    require(report.reportData.count == 64, "another size of REPORT_DATA")
    _ = report.claims
    _ = try? report.quote(bytes)
}

func certificate(_ bytes: [UInt8], _ choice: UInt8) {
    let identifiers = Dialect.allCases.flatMap(\.identifiers) + ["2.5.29.17"]
    let identifier = identifiers[Int(choice / 4) % identifiers.count]
    guard let certificate = ForgedCertificate.with([(identifier, bytes)]) else { return }
    let leaf = try? AttestedLeaf(certificate, now: 1_800_000_000)
    for carried in leaf?.carried ?? [] {
        require(!carried.evidence.isEmpty, "a form without Evidence")
        // Nothing of a fuzzer's is signed.
        require((try? carried.authenticate()) == nil, "a forged certificate's Evidence holds")
    }
}

func revocations(_ bytes: [UInt8]) {
    guard let list = try? RevocationList(der: bytes) else { return }
    require(list.der == bytes, "another list than was given")
    guard let certificate = ForgedCertificate.with([]) else { return }
    require(!list.isSigned(by: certificate), "a key that signs nothing signed a list")
}
