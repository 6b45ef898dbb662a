internal import Keys
internal import RATS

/// A JSON document of Intel's that carries a signature over the exact bytes of its one member.
struct SignedDocument: Sendable {
    /// SHA-256 of the member's name and the bytes as they came: what everything else follows from.
    let digest: [UInt8]
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
        digest = SignedDocument.digest(bytes, member)
        self.value = value
        self.signed = signed
        self.signature = signature
        self.issued = issued
        self.nextUpdate = nextUpdate
    }

    // Documents of 6 to 12 KiB, those of the platforms of one large service; only signed ones.
    private static let kept: Remembered<SignedDocument> = VerificationMemory.memory(capacity: 64)
    private static let proved: Remembered<Bool> = VerificationMemory.memory(capacity: 256)

    /// The document in these bytes, read now or earlier.
    static func read(_ bytes: [UInt8], member: String) throws(Refusal) -> SignedDocument {
        if let known = kept.value(digest(bytes, member)) { return known }
        return try SignedDocument(bytes, member: member)
    }

    private static func digest(_ bytes: [UInt8], _ member: String) -> [UInt8] {
        Digest.sha256(Array(member.utf8) + [0] + bytes)
    }

    func check(key: PublicKey, name: String, now: Int64) throws(Refusal) {
        let question = digest + key.spki
        let isProved = SignedDocument.proved.value(question) == true
        guard isProved || key.verifies(raw: signature, over: signed) else {
            throw DCAPRefusal.collateral(
                "collateral.signature", name, "a signature by the TCB signing key", "another")
        }
        if !isProved {
            SignedDocument.proved.keep(true, for: question)
            SignedDocument.kept.keep(self, for: digest)
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
