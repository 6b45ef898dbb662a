import Keys
import RATS
import Testing

@testable import Appraisal

/// What a device's certificates have to say of it.
struct NVIDIACertificateTests {
    private func code(_ change: (inout FakeNVIDIAMachine) throws -> Void) throws -> String {
        var machine = try FakeNVIDIAMachine()
        try change(&machine)
        return try machine.code()
    }

    @Test func reportsAreSignedByAP384Key() throws {
        let short = try PrivateKey.generate(.p256)
        #expect(try code { $0.devices[0].key = short } == "nvidia.chain.leaf")
    }

    @Test func theMakerNamesTheChip() throws {
        for name in ["NVIDIA", "GH100", "AMD GH100 Provisioner", "NVIDIA XX100 Provisioner"] {
            let code = try code {
                $0.devices[0].provisioner.subject = name
                $0.devices[0].own.issuer = name
            }
            #expect(code == "nvidia.chain.device", "\(name)")
        }
        #expect(try code { $0.devices[0].leaf.subject = "GB100 A01" } == "nvidia.chain.device")
    }

    @Test func aNameHasOnePlainCommonName() {
        #expect(DistinguishedName.commonName("CN=a,O=b") == "a")
        for name in ["O=b", "CN=a,CN=b", "CN=a\\,b", "CN=a+OU=b", ""] {
            #expect(DistinguishedName.commonName(name) == nil, "\(name)")
        }
    }

    @Test func theFirmwareIsNamedOnceAndInFull() throws {
        let firmware = FakeNVIDIA.firmware
        let sha384 = DER.objectIdentifier("2.16.840.1.101.3.4.2.2")
        func digest(_ parts: [[UInt8]]) -> [UInt8] { DER.sequence(parts) }
        let good = digest([sha384, DER.octetString(firmware)])
        func identity(
            _ digest: [UInt8], version: UInt8 = 1, more: [UInt8] = [], trailing: [UInt8] = []
        ) -> [(String, [UInt8])] {
            let content = DER.sequence([
                DER.integer([version]), DER.sequence([]), digest, more,
            ])
            return [("2.23.133.5.4.1", content + trailing)]
        }
        func info(_ digest: [UInt8], trailing: [UInt8] = []) -> [(String, [UInt8])] {
            [("2.23.133.5.4.1.1", DER.sequence([DER.tagged(0xA6, digest)]) + trailing)]
        }
        let null: [UInt8] = [5, 0]
        let sha256 = DER.objectIdentifier("2.16.840.1.101.3.4.2.1")
        let cases: [(String, [(String, [UInt8])])] = [
            ("admitted", identity(good)), ("admitted", info(good)),
            ("nvidia.fwid.mismatch", []), ("nvidia.fwid.mismatch", identity(good) + info(good)),
            ("nvidia.fwid.mismatch", identity(good, version: 2)),
            ("nvidia.fwid.mismatch", identity(good, more: null)),
            ("nvidia.fwid.mismatch", identity(good, trailing: null)),
            ("nvidia.fwid.mismatch", info(good, trailing: null)),
            ("nvidia.fwid.mismatch", identity(digest([sha256, DER.octetString(firmware)]))),
            ("nvidia.fwid.mismatch", identity(digest([sha384, DER.octetString(firmware), null]))),
            ("nvidia.fwid.mismatch", info(digest([sha384, DER.octetString(firmware.dropLast())]))),
            (
                "nvidia.fwid.mismatch",
                info(digest([sha384, DER.octetString(firmware.dropLast() + [0])]))
            ),
        ]
        for (index, (wanted, extensions)) in cases.enumerated() {
            #expect(
                try code { $0.devices[0].leaf.extensions = extensions } == wanted, "case \(index)")
        }
    }

    /// Blocks and opaque data that fill a report up to its size, and the opaque data up to theirs.
    @Test func reportsHaveTheirSizes() throws {
        func outcome(blocks: Int, size: Int) throws -> String {
            try code { machine in
                machine.devices[0].measurements = (1...blocks).map {
                    (UInt8($0), [UInt8](repeating: UInt8($0), count: 48))
                }
                machine.devices[0].set(99, [])
                let room = size - (try machine.devices[0].report().count)
                machine.devices[0].set(99, [UInt8](repeating: 0, count: room))
                #expect(try machine.devices[0].report().count == size)
            }
        }
        #expect(try outcome(blocks: 140, size: SPDMMeasurements.maxSize) == "admitted")
        #expect(try outcome(blocks: 140, size: SPDMMeasurements.maxSize + 1) == "nvidia.malformed")
        func opaque(_ size: Int) throws -> String {
            try code { machine in
                machine.devices[0].set(99, nil)
                let used = machine.devices[0].fields.reduce(0) { $0 + 4 + $1.1.count }
                machine.devices[0].set(99, [UInt8](repeating: 0, count: size - used - 4))
            }
        }
        #expect(try opaque(SPDMMeasurements.maxOpaque) == "admitted")
        #expect(try opaque(SPDMMeasurements.maxOpaque + 1) == "nvidia.malformed")
    }

    @Test func versionsAreNumbers() {
        #expect(NVIDIAVersion.numbers("96.00.5E", radix: 16) == [0x96, 0, 0x5E])
        for text in ["", "+1.2", "1.+2", "1..2", "1.x", ".", "1."] {
            #expect(NVIDIAVersion.numbers(text, radix: 10) == nil, "\(text)")
            #expect(!NVIDIAVersion.atLeast("1").accepts(text, radix: 10), "\(text)")
        }
    }

    @Test func onlyWhatIsCalledAnAnswerIsOne() throws {
        let machine = try FakeNVIDIAMachine()
        let own = try machine.submission()
        let renamed = own.endorsements.map { item in
            item.mediaType == NVIDIARevocation.mediaType
                ? Endorsement(mediaType: "application/octet-stream", bytes: item.bytes) : item
        }
        let refusal = #expect(throws: Refusal.self) {
            try machine.appraise(
                Appraiser.Submission(
                    evidence: own.evidence, endorsements: renamed,
                    configuration: own.configuration),
                FakePKI.now)
        }
        #expect(refusal?.code == "nvidia.ocsp.missing")
    }
}
