import Keys
import RATS
import Testing

@testable import Appraisal

struct ReferenceManifestTests {
    private typealias Change = (inout FakeNVIDIAMachine) throws -> Void

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

    private let zeros = [UInt8](repeating: 0, count: 48)

    @Test func everyActiveValueCounts() throws {
        try check([
            ("nvidia.measurement.mismatch", { $0.manifests[0].entries[0].2 = [zeros] }),
            ("nvidia.measurement.mismatch", { $0.manifests[1].entries[9].2 = [zeros] }),
            ("nvidia.measurement.mismatch", { $0.devices[0].measurements[3].1[47] ^= 1 }),
            ("nvidia.measurement.mismatch", { $0.devices[0].measurements.remove(at: 0) }),
            // Index 35 counts while NVDEC0 is on, and then has to be there.
            ("nvidia.measurement.mismatch", { $0.devices[0].set(11, [0xAA]) }),
            ("nvidia.nvdec0.missing", { $0.devices[0].set(11, nil) }),
            ("nvidia.rim.conflict", { $0.manifests[1].entries[0] = $0.manifests[0].entries[4] }),
            // An inactive one is no conflict, nor is it compared.
            (
                "admitted",
                {
                    var entry = $0.manifests[0].entries[4]
                    entry.1 = false
                    entry.2 = [zeros]
                    $0.manifests[1].entries.append(entry)
                }
            ),
        ])
    }

    @Test func bothManifestsAreThereAndOfTheVersions() throws {
        try check([
            ("nvidia.rim.driver.missing", { $0.manifests.remove(at: 0) }),
            ("nvidia.rim.vbios.missing", { $0.manifests.remove(at: 1) }),
            ("nvidia.rim.driver.missing", { $0.manifests[0].version = "580.2" }),
            ("nvidia.rim.vbios.missing", { $0.manifests[1].version = "96.00.5E.00.02" }),
            ("nvidia.rim.driver.missing", { $0.manifests[0].product = "GB100" }),
            (
                "admitted",
                {
                    $0.manifests = []
                    $0.driverManifest = .any
                    $0.vbiosManifest = .any
                }
            ),
            // What need not be there has to hold if it is.
            (
                "nvidia.measurement.mismatch",
                {
                    $0.manifests[0].entries[0].2 = [zeros]
                    $0.driverManifest = .any
                }
            ),
            // Another's, or garbage, beside the right ones is let be.
            (
                "admitted",
                {
                    $0.more = [
                        Endorsement(mediaType: "application/swid+xml", bytes: [0x3C]),
                        Endorsement(mediaType: "application/ocsp-response", bytes: [0x30]),
                    ]
                }
            ),
        ])
    }

    @Test func aManifestIsSignedByNVIDIA() throws {
        let other = try PrivateKey.generate(.p384)
        try check([
            ("nvidia.rim.signature", { $0.manifests[0].signedBy = other }),
            (
                "nvidia.rim.signature",
                {
                    $0.manifests[0].after = {
                        $0.replacing("active=\"True\"", with: "active=\"False\"")
                    }
                }
            ),
            (
                "nvidia.rim.signature",
                { $0.manifests[0].after = { $0.replacing("\"m0\"", with: "\"m00\"") } }
            ),
            (
                "nvidia.rim.signature",
                {
                    $0.manifests[0].after = { $0 + "\n" }; $0.manifests[0].signedBy = other
                }
            ),
            ("nvidia.rim.chain.invalid", { $0.manifests[0].signer.to = "260201000000Z" }),
            ("nvidia.rim.chain.invalid", { $0.manifests[0].signer.isAuthority = true }),
            ("nvidia.rim.chain.invalid", { $0.manifests[0].certificates = { [$0[0], $0[2]] } }),
            ("nvidia.rim.root.unknown", { $0.manifests[0].certificates = { [$0[0], $0[1]] } }),
            (
                "nvidia.rim.root.unknown",
                { $0.roots = NVIDIARoots(devices: $0.maker.roots.devices, manifests: []) }
            ),
        ])
        // A P-256 key of the same signer is not one that manifests are signed with.
        let small = try PrivateKey.generate(.p256)
        let short = try code {
            let maker = $0.maker
            let signer = $0.manifests[0].signer
            $0.manifests[0].signedBy = small
            $0.manifests[0].certificates = { chain in
                let own = try? FakePKI.certificate(
                    signer, of: small, by: maker.manifestAuthorityKey)
                return [own ?? []] + chain.dropFirst()
            }
        }
        #expect(short == "nvidia.rim.signature")
        // A pinned key that signs by itself: whoever has it could sign manifests without a trace.
        let alone = try PrivateKey.generate(.p384)
        let single = try code {
            let own = try FakePKI.certificate(
                FakePKI.Template(subject: "alone", issuer: "alone"), of: alone, by: alone)
            for index in $0.manifests.indices {
                $0.manifests[index].signedBy = alone
                $0.manifests[index].certificates = { _ in [own] }
            }
            $0.roots = NVIDIARoots(
                devices: $0.maker.roots.devices, manifests: [Digest.sha256(alone.spki)])
        }
        #expect(single == "nvidia.rim.chain.invalid")
        for issuer in ["RIM CA", "RIM root"] {
            for (status, wanted) in [
                (FakeStatusAnswer.Status.revoked(6), "nvidia.ocsp.hold"),
                (.revoked(1), "nvidia.ocsp.revoked"),
            ] {
                let code = try code {
                    var answer = try #require($0.maker.answers.first { $0.issuer == issuer })
                    answer.status = status
                    $0.answers = [answer]
                }
                #expect(code == wanted, "\(issuer)")
            }
        }
    }

    // What is read is what was signed: nothing else can be slipped in beside it.
    @Test func noOtherShapeOfSignatureIsTaken() throws {
        func info(_ old: String, _ new: String) -> Change {
            { $0.manifests[0].info = { $0.replacing(old, with: new) } }
        }
        func after(_ old: String, _ new: String) -> Change {
            { $0.manifests[0].after = { $0.replacing(old, with: new) } }
        }
        let reference = "</ds:Reference>"
        let changes: [Change] = [
            info("ecdsa-sha384", "ecdsa-sha256"), info("more#sha384", "more#sha256"),
            info("/2006/12/xml-c14n11\"></ds:Can", "/2001/10/xml-exc-c14n#\"></ds:Can"),
            info("enveloped-signature", "base64"), info("URI=\"\"", "URI=\"#x\""),
            info(" URI=\"\"", ""), info("URI=\"\"", "Id=\"x\" URI=\"\""),
            info(reference, reference + "<ds:Reference URI=\"\"></ds:Reference>"),
            info("<ds:Transforms>", "<ds:Transforms><ds:Transform></ds:Transform>"),
            info(
                "</ds:SignatureMethod>",
                "<ds:HMACOutputLength>1</ds:HMACOutputLength></ds:SignatureMethod>"),
            after("</SoftwareIdentity>", "<Payload></Payload></SoftwareIdentity>"),
            after("<Payload>", "<Payload><ds:Object xmlns:ds=\"\(FakeManifest.ds)\"></ds:Object>"),
            after("</ds:Signature>", "<ds:Object></ds:Object></ds:Signature>"),
            info(
                "xml-c14n11\"></ds:Transform></ds:Transforms>",
                "xml-c14n11#WithComments\"></ds:Transform></ds:Transforms>"),
            info("></ds:CanonicalizationMethod", " x=\"1\"></ds:CanonicalizationMethod"),
            after("ds:X509Certificate>", "ds:X509Certificatf>"),
            after("ds:X509Certificate>", "X509Certificate>"),
            after("ds:KeyInfo>", "ds:KeyInfp>"), after("ds:KeyInfo>", "KeyInfo>"),
            after("</ds:SignatureValue>", "<x></x></ds:SignatureValue>"),
            {
                $0.manifests[0].after = { text in
                    let start = text.firstRange(of: "<ds:SignatureValue>")
                    let end = text.firstRange(of: "</ds:SignatureValue>")
                    guard let start, let end else { return text }
                    return String(text[..<start.upperBound] + text[end.lowerBound...])
                }
            },
            {
                $0.manifests[0].after = {
                    $0.replacing("<ds:Signature xmlns", with: "<ds:Signaturf xmlns")
                        .replacing("</ds:Signature>", with: "</ds:Signaturf>")
                }
            },
            after("<ds:X509Data>", "<ds:KeyName>x</ds:KeyName><ds:X509Data>"),
            { $0.manifests[0].certificates = { Array(repeating: $0[0], count: 9) } },
            { $0.manifests[0].certificates = { _ in [] } },
            // Texts that have more than one reading are not read.
            after("<Payload>", "<!-- --><Payload>"), after("<Payload>", "<Payload><![CDATA[x]]>"),
            after("<Payload>", "<?x y?><Payload>"),
            { $0.manifests[0].after = { "<!DOCTYPE a [<!ENTITY b \"c\">]>" + $0 } },
            { $0.manifests[0].after = { " " + $0 } }, { $0.manifests[0].after = { $0 + "<a/>" } },
            { $0.manifests[0].after = { $0 + String(repeating: " ", count: 128 * 1024) } },
            after("<Payload>", "<Payload>" + String(repeating: "<a>", count: 20)),
            after("</Payload>", "&unknown;</Payload>"), after("name=\"x\"", "name=\"&lt;"),
            after("name=\"x\"", "y:name=\"x\""),
            after("name=\"x\"", "xmlns:y=\"\(FakeManifest.hash)\" y:a=\"1\" ns2:a=\"2\""),
        ]
        for (index, change) in changes.enumerated() {
            let code = try code(change)
            #expect(code == "nvidia.rim.malformed", "change \(index)")
        }
        let broken = try code(info("<ds:DigestValue>", "<ds:DigestValue>\n "))
        #expect(broken == "admitted")
        // A declaration in front changes nothing that is signed.
        let declared = try code {
            $0.manifests[0].after = { "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + $0 }
        }
        #expect(declared == "admitted")
    }

    @Test func everyLineOfTheTagHasItsRefusal() throws {
        func before(_ old: String, _ new: String) -> Change {
            { $0.manifests[0].before = { $0.replacing(old, with: new) } }
        }
        let changes: [Change] = [
            before("<Meta ", "<Other "), before("<Payload>", "<Payload></Payload><Payload>"),
            before("\"RIMIM\"", "\"Other\""), before("\"direct\"", "\"indirect\""),
            before(" product=\"GH100\"", ""), before("colloquialVersion=\"580.1\" ", ""),
            before("\"Measurement\"", "\"File\""), before("\"48\"", "\"32\""),
            before("index=\"0\"", "index=\"00x\""), before("index=\"0\"", "index=\"-1\""),
            before("index=\"0\"", "index=\"255\""), before("active=\"True\"", "active=\"true\""),
            before("active=\"True\" ", ""), before("alternatives=\"1\"", "alternatives=\"2\""),
            before("Hash0", "Hash1"), before("Hash0=\"01", "Hash0=\""),
            before("name=\"m0\"", "name=\"m0\" other=\"\""),
            before("</Resource></P", "<x></x></Resource></P"),
            before("</Meta>", "</Meta><Meta></Meta>"), before("product=\"GH100\"", "product=\"\""),
            before("colloquialVersion=\"580.1\"", "colloquialVersion=\"\""),
            before("Resource", "Resourcf"), before("<Resource ", "<Resource xmlns=\"urn:x\" "),
            before("index=\"0\" ", "index=\"-1\" "), { $0.manifests[0].space = "urn:x" },
            {
                $0.manifests[0].space = "urn:x"
                $0.manifests[0].before = {
                    $0.replacing("<Resource ", with: "<Resource xmlns=\"\(FakeManifest.tag)\" ")
                }
            },
            {
                let rename: (String) -> String = {
                    $0.replacing("SoftwareIdentity", with: "SoftwareIdentitx")
                }
                $0.manifests[0].before = rename
                $0.manifests[0].after = rename
            },
            { $0.manifests[0].entries.append($0.manifests[0].entries[0]) },
            { $0.manifests[0].entries[0].2 = [] },
        ]
        for (index, change) in changes.enumerated() {
            #expect(try code(change) == "nvidia.rim.malformed", "change \(index)")
        }
    }
}
