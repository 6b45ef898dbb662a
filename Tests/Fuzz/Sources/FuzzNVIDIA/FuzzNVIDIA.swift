import FuzzCertificates
import FuzzSupport
import Glibc
import Keys
import RATS

@testable import Appraisal

@main struct FuzzNVIDIA {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Reports of GPUs and switches, the map they travel in, and firmware ids; the first byte chooses.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let choice = input.bytes.first else { return 0 }
    let bytes = Array(input.bytes.dropFirst())
    let device: NVIDIADevice = choice & 1 == 0 ? .gpu : .nvswitch
    switch (choice >> 1) % 4 {
    case 0: report(bytes, device)
    case 1: evidence(bytes, device)
    case 2: firmware(bytes)
    default: versions(bytes)
    }
    return 0
}

func report(_ bytes: [UInt8], _ device: NVIDIADevice) {
    guard let report = try? NVIDIAReport(bytes, of: device) else { return }
    let spdm = report.spdm
    require(spdm.signed + spdm.signature == bytes, "all that is not the signature is signed")
    require(spdm.requestNonce == Array(bytes[4..<36]), "the nonce is the request's")
    require(spdm.measurements.values.allSatisfy { $0.count == 48 }, "SHA-384")
    require((report.driverVersion != nil) == (device == .gpu), "a driver for GPUs")
    _ = report.claims
}

func evidence(_ bytes: [UInt8], _ device: NVIDIADevice) {
    let binding = Appraiser.ExpectedBinding(
        reportData: [UInt8](repeating: 0, count: 64),
        tpmQualifyingData: [UInt8](repeating: 0, count: 32),
        gpuNonces: [[UInt8](repeating: 0, count: 32)]
    )
    _ = try? NVIDIAEvidence.authenticate(
        Evidence(device.format, bytes: bytes), of: device, expected: binding)
}

/// One of the two extensions, or both: those that agree on nothing give nothing.
func firmware(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let content = Array(bytes.dropFirst())
    let (old, new) = ("2.23.133.5.4.1", "2.23.133.5.4.1.1")
    let names = first & 3 == 0 ? [old] : first & 3 == 1 ? [new] : [old, new]
    guard let certificate = ForgedCertificate.with(names.map { ($0, content) }) else { return }
    let found = NVIDIAFirmwareID.certified(by: certificate)
    require(found == nil || names.count == 1, "one extension")
    require(found == nil || found?.count == 48, "SHA-384")
}

func versions(_ bytes: [UInt8]) {
    guard let text = String(validating: bytes, as: UTF8.self) else { return }
    for radix in [10, 16] {
        guard NVIDIAVersion.numbers(text, radix: radix) != nil else { continue }
        require(NVIDIAVersion.atLeast(text).accepts(text, radix: radix), "itself")
    }
    _ = DistinguishedName.commonName(text)
}
