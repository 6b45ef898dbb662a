internal import Keys
internal import RATS

/// A TPM's quote in files: `quote.msg`, `quote.sig`, `ak.pub.pem`, `pcrs.json`, and what vouches
/// for the attestation key: `hcl-report.bin` with the hardware's report, or `ak-cert-chain.pem`.
struct TPMBundle {
    let bundle: EvidenceBundle
    let anchors: TrustAnchors
    let now: Int64

    private var checked: [String] = []
    private var gaps: [String] = []

    init(_ bundle: EvidenceBundle, _ anchors: TrustAnchors, _ now: Int64) {
        self.bundle = bundle
        self.anchors = anchors
        self.now = now
    }

    func authenticate() throws(Refusal) -> BundleFindings {
        var copy = self
        return try copy.run()
    }

    private mutating func run() throws(Refusal) -> BundleFindings {
        let message = try bundle.required("quote.msg", "TPMS_ATTEST")
        let attest = try TPMSAttest(message)
        let key = try attestationKey()
        var claims = attest.claims
        claims.set("ak.algorithm", .text("\(key.algorithm)"))
        claims.set("ak.spki.sha256", .bytes(Digest.sha256(key.spki)))
        try checkPublicArea(key, &claims)
        try checkTrust(key, &claims)
        let hash = try checkSignature(message, key)
        _ = try checkRegisters(attest, hash)
        readEventLog(&claims)
        return BundleFindings(.tpm, claims: claims, checked: checked, gaps: gaps)
    }

    /// The parts as a connection would bring them, for a policy to decide on, once the quote's
    /// signature and the PCR values hold; what vouches for the key is for the policy to say.
    func evidence() throws(Refusal) -> TPMEvidence {
        var copy = self
        let message = try bundle.required("quote.msg", "TPMS_ATTEST")
        let attest = try TPMSAttest(message)
        let key = try attestationKey()
        var claims = Claims()
        try copy.checkPublicArea(key, &claims)
        let hash = try copy.checkSignature(message, key)
        _ = try bundle.required("pcrs.json", "the PCR values that the quote is over")
        let values = try copy.checkRegisters(attest, hash)
        guard let bank = PCRBank(algorithm: attest.selections[0].algorithm) else {
            throw refusal("tpm.pcr.bank", "bank", "SHA-256 or larger", "another")
        }
        return TPMEvidence(
            attest: attest,
            key: try bundle.file("ak.tpmt-public.bin").map { (bytes) throws(Refusal) in
                try TPMTPublic(bytes)
            } ?? TPMTPublic(unnamed: key),
            bank: bank, values: values, eventLog: bundle.file("eventlog.bin"),
            paravisorReport: bundle.file("hcl-report.bin"),
            hardwareQuote: bundle.file("quote.bin"), keyCertificates: try keyCertificates())
    }

    private func keyCertificates() throws(Refusal) -> [[UInt8]] {
        do throws(KeyError) {
            return try certificatesOfKey().map(\.der)
        } catch {
            throw refusal(
                "tpm.ak.certificate", "certificate of the attestation key", "X.509",
                error.description)
        }
    }

    private func certificatesOfKey() throws(KeyError) -> [Certificate] {
        var chain: [Certificate] = []
        if let bytes = bundle.file("ak-cert.der") {
            chain.append(try Certificate(padded: bytes))
        }
        if let pem = bundle.file("ak-cert-chain.pem") {
            chain += try Certificate.read(pem: String(decoding: pem, as: UTF8.self))
        }
        return chain
    }

    private func attestationKey() throws(Refusal) -> PublicKey {
        let pem = try bundle.required("ak.pub.pem", "the attestation key")
        do throws(KeyError) {
            return try PublicKey(pem: String(decoding: pem, as: UTF8.self))
        } catch {
            throw refusal(
                "tpm.ak.malformed", "ak.pub.pem", "a public key in PEM", error.description)
        }
    }

    /// The hash of the signature, which is the hash of pcrDigest too.
    private mutating func checkSignature(
        _ message: [UInt8], _ key: PublicKey
    ) throws(Refusal) -> Digest {
        let bytes = try bundle.required("quote.sig", "the quote's signature")
        let hash: Digest
        // Some tools keep the RSA signature without its structure; SHA-256 is then understood.
        if case .rsa(let bits) = key.algorithm, bytes.count == bits / 8 {
            hash = .sha256
            guard key.verifies(rsa: bytes, over: message, digest: hash, padding: .pkcs1) else {
                throw TPMTSignature.invalid
            }
        } else {
            let signature = try TPMTSignature(bytes)
            hash = try signature.digest()
            try signature.check(by: key, over: message)
        }
        checked.append("quote signature")
        return hash
    }

    /// The values by register; none where they are not there.
    private mutating func checkRegisters(
        _ attest: TPMSAttest, _ hash: Digest
    ) throws(Refusal) -> [Int: [UInt8]] {
        let banks = attest.selections.map(\.algorithm)
        guard banks.count == 1 else {
            throw refusal(
                "tpm.pcr.duplicate", "PCR selection", "one bank",
                TPMEvidence.show(attest.selections))
        }
        guard let bytes = bundle.file("pcrs.json") else {
            gaps.append("PCR values: pcrs.json is not there, only their hash is known")
            return [:]
        }
        // 24 registers of SHA-512 in hexadecimal are 3.5 KiB; tools write more banks and blanks.
        guard bytes.count <= 64 * 1024, let document = JSONParser.parse(bytes),
            let values = document["pcrs"]?.members
        else {
            throw refusal("tpm.pcr.malformed", "pcrs.json", "{\"alg\", \"pcrs\"}", "something else")
        }
        var quoted: [UInt8] = []
        var registers: [Int: [UInt8]] = [:]
        for index in attest.selections[0].registers {
            guard let value = values.first(where: { $0.name == "\(index)" })?.value.text,
                let bytes = Hex.decode(value)
            else {
                throw refusal(
                    "tpm.pcr.malformed", "pcrs.json", "a value of each PCR quoted",
                    "none of PCR \(index)")
            }
            quoted += bytes
            registers[index] = bytes
        }
        let digest = hash.hash(quoted)
        guard ConstantTime.equal(digest, attest.pcrDigest) else {
            throw refusal(
                "tpm.pcr.digest", "pcrDigest", Hex.encode(attest.pcrDigest), Hex.encode(digest))
        }
        checked.append("PCR values")
        if banks == [TPMAlgorithm.sha1] {
            gaps.append("PCR bank: SHA-1, which no policy of Ratel's accepts")
        }
        return registers
    }

    private mutating func checkPublicArea(
        _ key: PublicKey, _ claims: inout Claims
    ) throws(Refusal) {
        guard let bytes = bundle.file("ak.tpmt-public.bin") else { return }
        let area = try TPMTPublic(bytes)
        guard ConstantTime.equal(area.key.spki, key.spki) else {
            throw refusal(
                "tpm.ak.area", "TPMT_PUBLIC", Hex.encode(Digest.sha256(key.spki)),
                Hex.encode(Digest.sha256(area.key.spki)))
        }
        try area.checkAttributes()
        claims.set("ak.name", .bytes(area.name))
        checked.append("attributes of the attestation key")
    }

    // Something has to vouch for the key, else anyone could have made it.
    private mutating func checkTrust(
        _ key: PublicKey, _ claims: inout Claims
    ) throws(Refusal) {
        var isTrusted = anchors.trust(key)
        if isTrusted { checked.append("attestation key, as an anchor") }
        if let bytes = bundle.file("hcl-report.bin") {
            let hcl = try HCLReport(bytes)
            try checkCopies(hcl)
            try hcl.checkBinding(key: key)
            checked.append("runtime data in REPORT_DATA, and the attestation key in it")
            claims.append(hcl.claims)
            try checkHardware(hcl, &claims)
            isTrusted = true
        }
        if bundle.file("ak-cert-chain.pem") != nil || bundle.file("ak-cert.der") != nil {
            isTrusted = try checkCertificates(key) || isTrusted
        }
        guard isTrusted else {
            throw refusal(
                "tpm.ak.untrusted", "attestation key",
                "one that a hardware report, a certificate or --root vouches for", "none does",
                "if the key is known to be in a TPM, name it with --root ak.pub.pem")
        }
    }

    private func checkCopies(_ hcl: HCLReport) throws(Refusal) {
        // Copies that lie beside it: whoever reads those is not to be told another story.
        for (name, original) in [
            ("runtime-data.json", hcl.runtimeData), ("report.bin", hcl.report),
        ] {
            guard let bytes = bundle.file(name), hcl.hardware == .snp || name != "report.bin"
            else { continue }
            guard ConstantTime.equal(bytes, original) else {
                throw refusal(
                    "tpm.hcl.report_data", name, "the same as in the HCL report", "another")
            }
        }
    }

    private mutating func checkHardware(
        _ hcl: HCLReport, _ claims: inout Claims
    ) throws(Refusal) {
        switch hcl.hardware {
        case .snp:
            let list = bundle.file("crl.der")
            let evidence = try SNPEvidence(
                report: hcl.report, certificates: bundle.snpCertificates, revocationList: list)
            let policy = SNPPolicy.authenticity(anchors, revocation: list == nil ? .any : .required)
            try SNPAppraisal(policy: policy, evidence: evidence, now: now).checkAuthenticity()
            checked.append("SNP report and its certificate chain")
            if list == nil { gaps.append("revocation of the SNP chain: crl.der is not there") }
            claims.append(evidence.claims, under: "snp")
        case .tdx:
            let quote = try hcl.quote(bundle.file("quote.bin"))
            claims.append(quote.claims, under: "tdx")
            if let collateral = bundle.collateral {
                _ = try DCAPVerification(
                    bundle.file("quote.bin") ?? [], collateral: collateral, now: now,
                    roots: DCAPRoots.intel + anchors.pins)
                checked.append("TDX quote with Intel's collateral")
            } else {
                try quote.checkChain(roots: DCAPRoots.intel + anchors.pins, now: now)
                checked.append("TDX quote and its certificate chain")
                gaps.append("TCB level and revocation of the TDX chain: no collateral of Intel's")
            }
            try DCAPRules.check(quote)
        }
    }

    /// Whether a pinned root vouches for the key; a chain that is there has to be good.
    private mutating func checkCertificates(_ key: PublicKey) throws(Refusal) -> Bool {
        let chain: [Certificate]
        do throws(KeyError) {
            chain = try certificatesOfKey()
        } catch {
            throw refusal(
                "tpm.ak.certificate", "certificate of the attestation key", "X.509",
                error.description)
        }
        guard let leaf = chain.first, ConstantTime.equal(leaf.spki, key.spki) else {
            throw refusal(
                "tpm.ak.certificate", "certificate of the attestation key", "one of this key",
                "another")
        }
        let pins = TPMRoots.clouds + anchors.pins
        let candidates = chain.dropFirst() + anchors.certificates + otherCertificates
        let roots = candidates.filter { pins.contains(Digest.sha256($0.spki)) }
        guard !roots.isEmpty else {
            gaps.append("certificate of the attestation key: its chain is not there")
            return false
        }
        var options = CertificateChain.Options()
        options.toleratesUnknownCriticalInLeaf = true
        do throws(KeyError) {
            try CertificateChain.validate(
                leaf, intermediates: Array(chain.dropFirst()), anchors: Array(roots), now: now,
                options: options)
        } catch {
            throw refusal(
                "tpm.ak.certificate", "certificate of the attestation key",
                "a current chain to a cloud's root", error.description)
        }
        checked.append("certificate chain of the attestation key")
        return true
    }

    // Roots that lie beside the Evidence are only found here; what makes them roots is the pin.
    private var otherCertificates: [Certificate] {
        bundle.files.filter { $0.key.hasSuffix(".pem") }.flatMap {
            (try? Certificate.read(pem: String(decoding: $0.value, as: UTF8.self))) ?? []
        }
    }

    private func readEventLog(_ claims: inout Claims) {
        guard let bytes = bundle.file("eventlog.bin"), let log = try? EventLog(bytes) else {
            return
        }
        claims.set("event_log.events", .number(UInt64(log.events.count)))
    }

    private func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String,
        _ remedy: String = "the Evidence does not agree with itself; look at the machine"
    ) -> Refusal {
        TPMEvidence.refusal(code, .evidence, field, expected, got, remedy)
    }
}
