internal import Keys
internal import RATS

/// A certificate with Evidence in it, in files: `cert.pem` or `cert.der`, and the collateral of the
/// Evidence beside it.
struct CertificateBundle {
    let bundle: EvidenceBundle
    let anchors: TrustAnchors
    let now: Int64

    func authenticate() throws(Refusal) -> BundleFindings {
        let leaf = try AttestedLeaf(try certificate(), now: now)
        var claims = leaf.certificate.claims
        var tcb: Claims?
        var checked = ["validity of the certificate", "Evidence over the certificate's key"]
        var evidence: [Claims.Value] = []
        for carried in leaf.carried {
            switch carried.content {
            case .quote(let quote, let bytes):
                let verification = try verify(quote, bytes)
                tcb = verification.claims
                evidence.append(.group(quote.summary(at: carried.place, carried.formula)))
                checked += ["quote with Intel's collateral", "attributes"]
            case .nitro(let nitro):
                try NitroAppraisal(policy: .authenticity(anchors), evidence: nitro, now: now)
                    .checkAuthenticity()
                claims.append(nitro.document.claims)
                checked += ["COSE signature", "certificate chain of the document", "debug mode"]
            }
        }
        if !evidence.isEmpty { claims.set("evidence", .list(evidence)) }
        var findings = BundleFindings(.certificate, claims: claims, checked: checked, tcb: tcb)
        findings.tier = "static"
        findings.dialect = leaf.carried.map(\.dialect.rawValue).joined(separator: ", ")
        findings.gaps = ["connection: static Evidence covers a key; a stolen key uses it anywhere"]
        return findings
    }

    func certificate() throws(Refusal) -> Certificate {
        do throws(KeyError) {
            if let der = bundle.file("cert.der") { return try Certificate(der: der) }
            let pem = bundle.file("cert.pem") ?? []
            // A chain may follow; the leaf is first.
            return try Certificate.read(pem: String(decoding: pem, as: UTF8.self))[0]
        } catch {
            throw AttestedLeaf.refusal(
                "certificate.malformed", "certificate", "X.509", error.description,
                "give the certificate as the server sends it")
        }
    }

    private func verify(
        _ quote: DCAPQuote, _ bytes: [UInt8]
    ) throws(Refusal) -> DCAPVerification {
        let roots = DCAPRoots.intel + anchors.pins
        guard let collateral = bundle.collateral else {
            try quote.checkChain(roots: roots, now: now)
            try DCAPRules.check(quote)
            throw DCAPRefusal.collateral(
                "collateral.missing", "collateral", "Intel's, beside the certificate", "none")
        }
        let verification = try DCAPVerification(
            bytes, collateral: collateral, now: now, roots: roots)
        try DCAPRules.check(quote)
        return verification
    }
}

extension DCAPQuote {
    /// What people compare first, for a list of several.
    fileprivate func summary(at place: String, _ formula: String) -> Claims {
        let all = claims
        var claims = Claims()
        claims.set("extension", .text(place))
        claims.set("bound_by", .text(formula))
        claims.set("quote_kind", all["body"] ?? .text(""))
        claims.set("quote_version", .number(UInt64(version)))
        claims.set("debug", all["quote_debug"] ?? .flag(true))
        claims.set("report_data", .bytes(reportData))
        let names =
            isTDX
            ? ["mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "td_attributes", "tee_tcb_svn"]
            : ["mrenclave", "mrsigner", "isvprodid", "isvsvn", "attributes"]
        for name in names {
            if let value = all[name] { claims.set("measurements.\(name)", value) }
        }
        if let fmspc = all["pck.fmspc"] { claims.set("fmspc", fmspc) }
        return claims
    }
}

extension Certificate {
    /// What the certificate says of itself.
    fileprivate var claims: Claims {
        var claims = Claims()
        let kinds: String =
            switch publicKey.algorithm {
            case .p256, .p384: "ec"
            case .rsa: "rsa"
            case .ed25519: "ed25519"
            }
        claims.set("certificate.subject", .text(Certificate.words(subject)))
        claims.set("certificate.issuer", .text(Certificate.words(issuer)))
        claims.set("certificate.public_key_algorithm", .text(kinds))
        claims.set("certificate.not_before", .text(UTCTime.text(notBefore)))
        claims.set("certificate.not_after", .text(UTCTime.text(notAfter)))
        claims.set("certificate.spki_sha256", .bytes(Digest.sha256(spki)))
        return claims
    }

    // X.520's names for the attributes of RFC 4514 section 3.
    private static func words(_ name: String) -> String {
        let long = [
            "CN": "Common Name", "O": "Organization", "OU": "Organizational Unit", "C": "Country",
            "ST": "State/Province", "L": "Locality",
        ]
        return name.split(separator: ",").map { part in
            guard let equals = part.firstIndex(of: "="), let word = long[String(part[..<equals])]
            else { return String(part) }
            return word + ": " + part[part.index(after: equals)...]
        }.joined(separator: ", ")
    }
}
