internal import Bytes
internal import RATS

/// What the structures of a TPM have in common: big-endian, sized by prefix, read to the end.
enum TPMStructure {
    /// Reads a whole structure, and refuses bytes behind it.
    static func read<Value>(
        _ name: String,
        _ bytes: [UInt8],
        limit: Int,
        _ body: (inout Reader) throws(ReadError) -> Value?
    ) throws(Refusal) -> Value {
        guard bytes.count <= limit else {
            throw malformed(name, "\(bytes.count) bytes, over \(limit)")
        }
        var reader = Reader(bytes)
        let value: Value?
        do throws(ReadError) {
            value = try body(&reader)
        } catch {
            throw malformed(name, "\(bytes.count) bytes that end too early")
        }
        guard let value else { throw malformed(name, "a value that is not allowed") }
        guard reader.isAtEnd else { throw malformed(name, "\(reader.remaining) bytes behind it") }
        return value
    }

    static func malformed(_ name: String, _ got: String) -> Refusal {
        Refusal(
            "tpm.malformed",
            .evidence,
            kind: "tpm",
            field: name,
            expected: "the structure of TPM 2.0 Library part 2",
            got: got,
            remedy: "the Evidence was changed on its way, or is of another version"
        )
    }
}

extension Reader {
    /// A TPM2B: u16 size and as many bytes.
    mutating func sized() throws(ReadError) -> [UInt8] { try take(Int(try u16())) }
}

/// TPM_ALG_ID, TPM 2.0 Library part 2, section 6.3.
enum TPMAlgorithm {
    static let rsa: UInt16 = 0x0001
    static let sha1: UInt16 = 0x0004
    static let null: UInt16 = 0x0010
    static let rsassa: UInt16 = 0x0014
    static let rsaes: UInt16 = 0x0015
    static let rsapss: UInt16 = 0x0016
    static let oaep: UInt16 = 0x0017
    static let ecdsa: UInt16 = 0x0018
    static let ecc: UInt16 = 0x0023
}
