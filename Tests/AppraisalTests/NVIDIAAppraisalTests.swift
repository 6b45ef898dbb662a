import Keys
import RATS
import Testing

@testable import Appraisal

struct NVIDIAAppraisalTests {
    typealias Change = (inout FakeNVIDIAMachine) throws -> Void

    private func code(_ change: Change = { _ in }) throws -> String {
        var machine = try FakeNVIDIAMachine()
        try change(&machine)
        return try machine.code()
    }

    private func check(_ changes: [(String, Change)]) throws {
        for (index, (wanted, change)) in changes.enumerated() {
            #expect(try code(change) == wanted, "change \(index)")
        }
    }

    @Test func goodEvidenceIsAdmitted() throws {
        #expect(try code() == "admitted")
        // The pins of NVIDIA's own roots refuse all of it.
        #expect(try code { $0.roots = .nvidia } == "nvidia.root.unknown")
    }

    @Test func everyLineOfTheReportHasItsRefusal() throws {
        let header: [(Int, UInt8)] = [
            (0, 0x12), (1, 0xE1), (2, 0), (3, 1), (36, 1), (37, 0x12), (38, 0x61), (39, 1),
            (40, 1), (41, 63), (42, 0), (44, 1), (45, 0), (45, 2), (46, 2), (47, 0x34), (49, 0x81),
            (49, 5), (50, 0x2F),
        ]
        try check(
            header.map { place in ("nvidia.malformed", { $0.devices[0].before = [place] }) })
        try check([
            // The last type of measurement that there is.
            ("admitted", { $0.devices[0].before = [(49, 4)] }),
            ("nvidia.malformed", { $0.devices[0].trailing = [0] }),
            ("nvidia.malformed", { $0.devices[0].measurements = [] }),
            ("nvidia.malformed", { $0.devices[0].trailing = [UInt8](repeating: 0, count: 8192) }),
            ("nvidia.malformed", { $0.devices[0].set(3, nil) }),
            ("nvidia.malformed", { $0.devices[0].set(3, [0x20]) }),
            ("nvidia.malformed", { $0.devices[0].set(3, [0]) }),
            ("nvidia.malformed", { $0.devices[0].set(6, nil) }),
            ("nvidia.malformed", { $0.devices[0].set(6, [0, 0, 0, 0, 0, 0, 0, 1]) }),
            ("nvidia.malformed", { $0.devices[0].set(11, [0]) }),
            ("nvidia.malformed", { $0.devices[0].set(20, [0]) }),
            ("nvidia.malformed", { $0.devices[0].set(21, [1]) }),
            ("nvidia.malformed", { $0.devices[0].set(21, [0xAA]) }),
            ("nvidia.malformed", { $0.devices[0].set(22, [1]) }),
            ("nvidia.malformed", { $0.devices[0].set(6, [0, 0x5E]) }),
            ("nvidia.malformed", { $0.devices[0].set(26, [1]) }),
            ("nvidia.malformed", { $0.devices[0].set(36, [0, 1]) }),
            ("nvidia.malformed", { $0.devices[0].set(34, [2, 0]) }),
            ("nvidia.malformed", { $0.devices[0].set(34, [0, 1]) }),
            ("nvidia.malformed", { $0.devices[0].set(36, [3, 0]) }),
            ("nvidia.malformed", { $0.devices[0].set(36, [0]) }),
            ("nvidia.malformed", { $0.devices[0].fields.append((3, [0x31])) }),
            (
                "nvidia.malformed",
                { $0.devices[0].set(99, [UInt8](repeating: 0, count: 1000)) }
            ),
            ("admitted", { $0.devices[0].set(99, [UInt8](repeating: 0, count: 500)) }),
        ])
    }

    @Test func everyLineOfTheChainHasItsRefusal() throws {
        let other = try PrivateKey.generate(.p384)
        try check([
            ("nvidia.chain.malformed", { $0.devices[0].certificates = { Array($0[..<2]) } }),
            (
                "nvidia.chain.malformed",
                { $0.devices[0].certificates = { $0[..<4] + [[0x30, 0]] } }
            ),
            ("nvidia.malformed", { $0.devices[0].certificates = { $0 + [$0[4], $0[4]] } }),
            (
                "nvidia.chain.order",
                { $0.devices[0].certificates = { [$0[0], $0[2], $0[1], $0[3], $0[4]] } }
            ),
            ("nvidia.chain.order", { $0.devices[0].own.isAuthority = false }),
            ("nvidia.chain.leaf", { $0.devices[0].leaf.isAuthority = true }),
            ("nvidia.chain.device", { $0.devices[0].leaf.subject = "GB100 A01 FMC LF" }),
            (
                "nvidia.chain.device",
                {
                    $0.devices[0].provisioner.subject = "Other GH100 Provisioner"
                    $0.devices[0].own.issuer = "Other GH100 Provisioner"
                }
            ),
            ("nvidia.signature.invalid", { $0.devices[0].reportSigner = other }),
            ("nvidia.signature.invalid", { $0.devices[0].after = [(60, 1)] }),
            ("nvidia.chain.invalid", { $0.devices[0].leafSigner = other }),
            ("nvidia.chain.invalid", { $0.devices[0].provisionerSigner = other }),
            ("nvidia.chain.invalid", { $0.devices[0].own.to = "260201000000Z" }),
            ("nvidia.chain.invalid", { $0.devices[0].leaf.from = "270901000000Z" }),
            ("nvidia.root.unknown", { $0.devices[0].certificates = { Array($0[..<4]) } }),
            ("nvidia.fwid.mismatch", { $0.devices[0].leaf.extensions = [] }),
            (
                "nvidia.fwid.mismatch",
                { $0.devices[0].set(20, [UInt8](repeating: 2, count: 48)) }
            ),
            ("nvidia.fwid.missing", { $0.devices[0].set(20, nil) }),
            (
                "admitted",
                {
                    $0.devices[0].set(20, nil)
                    $0.firmwareID = .any
                }
            ),
        ])
    }

    @Test func blackwellNamesItsFirmwareInItsOwnWay() throws {
        func info(_ firmware: [UInt8]) -> [UInt8] {
            let digest = DER.sequence([
                DER.objectIdentifier("2.16.840.1.101.3.4.2.2"), DER.octetString(firmware),
            ])
            return DER.sequence([DER.tagged(0x80, [65]), DER.tagged(0xA6, digest + digest)])
        }
        let name = "2.23.133.5.4.1.1"
        try check([
            ("admitted", { $0.devices[0].leaf.extensions = [(name, info(FakeNVIDIA.firmware))] }),
            (
                "nvidia.fwid.mismatch",
                { $0.devices[0].leaf.extensions = [(name, info([UInt8](repeating: 0, count: 48)))] }
            ),
            (
                "nvidia.fwid.mismatch",
                { $0.devices[0].leaf.extensions.append((name, info(FakeNVIDIA.firmware))) }
            ),
        ])
    }

    @Test func theNonceIsOfThisConnectionAndIndex() throws {
        try check([
            ("nvidia.nonce.mismatch", { $0.devices[0].nonce[31] ^= 1 }),
            ("nvidia.nonce.mismatch", { $0.devices[0].nonce = FakeNVIDIAMachine.nonce(1) }),
            ("nvidia.index.refused", { $0.indices = [1] }),
        ])
    }

    @Test func everyLineOfThePolicyHasItsRefusal() throws {
        try check([
            ("policy.nvidia_gpu.missing", { $0.hasSections = false }),
            ("nvidia.architecture.refused", { $0.architectures = [.blackwell] }),
            ("nvidia.driver.version", { $0.driver = .oneOf(["580.2"]) }),
            ("nvidia.driver.version", { $0.driver = .oneOf([]) }),
            ("nvidia.driver.version", { $0.driver = .atLeast("580.1.1") }),
            ("nvidia.driver.version", { $0.driver = .atLeast("1000") }),
            ("admitted", { $0.driver = .atLeast("570.200") }),
            ("admitted", { $0.driver = .oneOf(["580.1"]) }),
            ("nvidia.vbios.version", { $0.vbios = .atLeast("96.00.5E.00.02") }),
            ("nvidia.vbios.version", { $0.vbios = .atLeast("96.00.60") }),
            ("nvidia.vbios.version", { $0.vbios = .atLeast("x") }),
            ("admitted", { $0.vbios = .atLeast("96.00.5D.FF") }),
            ("nvidia.mode.refused", { $0.modes = .oneOf([.protectedPCIe, .multiple]) }),
            ("nvidia.mode.refused", { $0.modes = .oneOf([]) }),
            ("admitted", { $0.modes = .oneOf([.single]) }),
            (
                "nvidia.mode.refused",
                {
                    $0.modes = .oneOf([.single])
                    $0.devices[0].set(36, nil)
                }
            ),
            ("nvidia.device.refused", { $0.serials = .oneOf([[41]]) }),
            ("admitted", { $0.serials = .oneOf([[41], [40]]) }),
        ])
    }

    @Test func everyAnswerCounts() throws {
        let other = try PrivateKey.generate(.p384)
        func own(_ change: @escaping (inout FakeStatusAnswer) -> Void) -> Change {
            {
                var answer = $0.devices[0].answer
                change(&answer)
                $0.answers = [answer]
            }
        }
        try check([
            ("nvidia.ocsp.missing", own { $0.serial = 99 }),
            ("nvidia.ocsp.hold", own { $0.status = .revoked(6) }),
            ("nvidia.ocsp.revoked", own { $0.status = .revoked(1) }),
            ("nvidia.ocsp.revoked", own { $0.status = .revoked(nil) }),
            ("nvidia.ocsp.unknown", own { $0.status = .unknown }),
            ("nvidia.ocsp.invalid", own { $0.signer = other }),
            ("nvidia.ocsp.invalid", own { $0.from = "20270201000000Z" }),
            ("nvidia.ocsp.invalid", own { $0.to = "20270101000000Z" }),
            ("nvidia.ocsp.invalid", own { $0.to = nil }),
            ("nvidia.ocsp.missing", own { $0.outcome = 3 }),
            ("admitted", own { $0.digest = .sha384 }),
        ])
        // A good one is not undone by one that nobody signed who may.
        #expect(
            try code {
                var answer = $0.devices[0].answer
                answer.signer = other
                $0.answers = [$0.devices[0].answer, answer]
            } == "admitted")
        // A bad answer counts where none is required, and beside a good one.
        #expect(
            try code {
                var answer = $0.devices[0].answer
                answer.status = .revoked(6)
                $0.answers = [$0.devices[0].answer, answer]
                $0.ocsp = .any
            } == "nvidia.ocsp.hold")
        #expect(
            try code {
                var answer = $0.devices[0].answer
                answer.serial = 99
                $0.answers = [answer]
                $0.ocsp = .any
            } == "admitted")
    }

    // Section 4.2.2.2: a responder is one by its certificate, and of the issuer itself.
    @Test func anotherMayAnswerForTheIssuer() throws {
        let key = try PrivateKey.generate(.p384)
        func answered(_ usage: String?, by issuer: KeyPath<FakeNVIDIAMaker, PrivateKey>) -> Change {
            {
                var template = FakePKI.Template(
                    subject: "responder", issuer: $0.devices[0].provisioner.subject, serial: 77)
                if let usage {
                    let list = DER.sequence([DER.objectIdentifier(usage)])
                    template.extensions = [("2.5.29.37", list)]
                }
                let certificate = try FakePKI.certificate(
                    template, of: key, by: $0.maker[keyPath: issuer])
                var answer = $0.devices[0].answer
                answer.signer = key
                answer.responder = ("responder", certificate)
                $0.answers = [answer]
            }
        }
        let signing = "1.3.6.1.5.5.7.3.9"
        try check([
            ("admitted", answered(signing, by: \.provisionerKey)),
            ("nvidia.ocsp.invalid", answered("1.3.6.1.5.5.7.3.1", by: \.provisionerKey)),
            ("nvidia.ocsp.invalid", answered(nil, by: \.provisionerKey)),
            ("nvidia.ocsp.invalid", answered(signing, by: \.identityKey)),
        ])
    }
}
