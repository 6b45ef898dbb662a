internal import Keys
internal import RATS

/// What Intel says about platforms of one kind, as its Provisioning Certification Service hands it
/// out (PCS API version 4).
public struct DCAPCollateral: Sendable, Equatable {
    /// `{"tcbInfo":…,"signature":"hex"}`, byte for byte.
    public var tcbInfo: [UInt8]
    /// `{"enclaveIdentity":…,"signature":"hex"}`, byte for byte.
    public var qeIdentity: [UInt8]
    /// PEM: the TCB signing certificate, then the root.
    public var tcbSigningChain: [UInt8]
    /// DER list of the PCK's issuer.
    public var pckRevocations: [UInt8]
    /// DER list of the root.
    public var rootRevocations: [UInt8]

    /// Bytes of each part: the largest TCB info seen has 6 KiB, revocation lists grow.
    static let maximumPart = 256 * 1024

    /// Collects the parts.
    public init(
        tcbInfo: [UInt8], qeIdentity: [UInt8], tcbSigningChain: [UInt8],
        pckRevocations: [UInt8], rootRevocations: [UInt8]
    ) {
        self.tcbInfo = tcbInfo
        self.qeIdentity = qeIdentity
        self.tcbSigningChain = tcbSigningChain
        self.pckRevocations = pckRevocations
        self.rootRevocations = rootRevocations
    }

    var isWithinLimits: Bool {
        [tcbInfo, qeIdentity, tcbSigningChain, pckRevocations, rootRevocations]
            .allSatisfy { $0.count <= DCAPCollateral.maximumPart }
    }
}

/// A JSON document of Intel's that carries a signature over the exact bytes of its one member.
struct SignedDocument: Sendable {
    let value: JSONValue
    /// The bytes that the signature covers.
    let signed: [UInt8]
    let signature: [UInt8]
    /// Unix times between which it is current.
    let issued: Int64
    let nextUpdate: Int64

    init(_ bytes: [UInt8], member: String) throws(Refusal) {
        guard let root = JSONParser.parse(bytes), let members = root.members,
            members.count == 2, let value = root[member],
            let signature = root["signature"]?.text.flatMap(Hex.decode), signature.count == 64,
            let signed = SignedDocument.extract(member, from: bytes),
            let issued = value["issueDate"]?.text.flatMap(UTCTime.parse),
            let nextUpdate = value["nextUpdate"]?.text.flatMap(UTCTime.parse)
        else {
            throw DCAPRefusal.collateral(
                "collateral.malformed", member, "Intel's signed document", "something else")
        }
        // What is read is what was signed, whatever a parser makes of the bytes around it.
        guard let again = JSONParser.parse(signed), again == value else {
            throw DCAPRefusal.collateral(
                "collateral.malformed", member, "one reading", "two")
        }
        self.value = value
        self.signed = signed
        self.signature = signature
        self.issued = issued
        self.nextUpdate = nextUpdate
    }

    func check(key: PublicKey, name: String, now: Int64) throws(Refusal) {
        guard key.verifies(raw: signature, over: signed) else {
            throw DCAPRefusal.collateral(
                "collateral.signature", name, "a signature by the TCB signing key", "another")
        }
        guard issued <= now, now < nextUpdate else {
            throw DCAPRefusal.collateral(
                "collateral.stale", name, "current at \(now)", "\(issued) to \(nextUpdate)")
        }
    }

    /// The bytes of the member's object, braces included.
    private static func extract(_ member: String, from bytes: [UInt8]) -> [UInt8]? {
        let name = Array("\"\(member)\"".utf8)
        guard bytes.count > name.count,
            let start = (0...(bytes.count - name.count)).first(where: {
                bytes[$0..<$0 + name.count].elementsEqual(name)
            }),
            let open = bytes[(start + name.count)...].firstIndex(of: UInt8(ascii: "{"))
        else { return nil }
        var depth = 0
        var isInString = false
        var isEscaped = false
        for index in open..<bytes.count {
            let byte = bytes[index]
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "}"):
                depth -= 1
                if depth == 0 { return Array(bytes[open...index]) }
            default: break
            }
        }
        return nil
    }
}

/// `2026-02-01T14:49:26Z` and no other form of RFC 3339.
enum UTCTime {
    static func parse(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count == 20, bytes[4] == 0x2D, bytes[7] == 0x2D, bytes[10] == 0x54,
            bytes[13] == 0x3A, bytes[16] == 0x3A, bytes[19] == 0x5A,
            let year = number(bytes[0..<4]), let month = number(bytes[5..<7]),
            let day = number(bytes[8..<10]), let hour = number(bytes[11..<13]),
            let minute = number(bytes[14..<16]), let second = number(bytes[17..<19]),
            (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day),
            hour < 24, minute < 60, second < 60
        else { return nil }
        // Days since 1970 in the Gregorian calendar, counting years from March.
        let shifted = month > 2 ? year : year - 1
        let era = shifted / 400
        let ofEra = shifted - era * 400
        let ofYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let days = era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
        return Int64(days * 86_400 + hour * 3_600 + minute * 60 + second)
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        var value = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            value = value * 10 + Int(digit - 0x30)
        }
        return value
    }
}
