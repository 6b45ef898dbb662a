internal import Keys

/// The FWID in a device's certificate: TCG DICE Attestation Architecture 1.1, section 6.1.
///
/// Hopper and LS10 write `SEQUENCE {version, SPKI, FWID}` under tcg-dice 4.1; Blackwell writes
/// DiceTcbInfo under tcg-dice-TcbInfo, whose first FWID is that of the first firmware.
enum NVIDIAFirmwareID {
    private static let identity = "2.23.133.5.4.1"
    private static let info = "2.23.133.5.4.1.1"
    /// The field `fwids [6]` of DiceTcbInfo.
    private static let list: UInt8 = 0xA6

    /// SHA-384 of the firmware that `certificate` was issued to; `nil` unless it says so once.
    static func certified(by certificate: Certificate) -> [UInt8]? {
        let old = certificate.extension(identity)
        let new = certificate.extension(info)
        guard (old == nil) != (new == nil) else { return nil }
        if let old { return try? inIdentity(old) }
        return new.flatMap { try? inInfo($0) }
    }

    private static func inIdentity(_ bytes: [UInt8]) throws(KeyError) -> [UInt8]? {
        var outer = DERReader(bytes)
        var inside = try outer.next(0x30).inside
        guard outer.isAtEnd, try inside.next(0x02).content == [1] else { return nil }
        _ = try inside.next(0x30)
        let found = try digest(inside.next(0x30))
        return inside.isAtEnd ? found : nil
    }

    private static func inInfo(_ bytes: [UInt8]) throws(KeyError) -> [UInt8]? {
        var outer = DERReader(bytes)
        var inside = try outer.next(0x30).inside
        guard outer.isAtEnd else { return nil }
        while !inside.isAtEnd {
            let field = try inside.next()
            guard field.tag == list else { continue }
            var digests = field.inside
            return try digest(digests.next(0x30))
        }
        return nil
    }

    private static func digest(_ element: DERReader.Element) throws(KeyError) -> [UInt8]? {
        var parts = element.inside
        // SHA-384, RFC 8017 appendix B.1.
        let name = DER.tagged(0x06, try parts.next(0x06).content)
        let value = try parts.next(0x04).content
        guard parts.isAtEnd, name == DER.objectIdentifier("2.16.840.1.101.3.4.2.2"),
            value.count == Digest.sha384.size
        else { return nil }
        return value
    }
}
