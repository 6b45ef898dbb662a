internal import Keys
internal import RATS

extension DCAPQuote {
    /// What people compare first, for a list of several.
    func summary(at place: String, _ formula: String) -> Claims {
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
    var summary: Claims {
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
