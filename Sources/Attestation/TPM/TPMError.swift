internal import CTSS2
internal import RATS

/// A command that the TPM, or the way to it, answered with an error.
struct TPMError: Error {
    /// What was attempted, in words.
    let action: String
    /// TSS2_RC.
    let code: UInt32

    /// The library's words for the code.
    var words: String {
        guard let text = unsafe Tss2_RC_Decode(code) else { return "error" }
        return unsafe "\(String(cString: text)) (0x\(String(code, radix: 16)))"
    }

    /// The refusal for whoever asked for Evidence.
    func refusal(tcti: String) -> Refusal {
        Refusal(
            "tpm.unavailable",
            .attestation,
            kind: "tpm",
            field: action,
            expected: "a TPM that answers on \(tcti)",
            got: words,
            remedy: "see `ratel doctor`; check that the TPM is there and that this user may use it"
        )
    }

    /// Throws unless `code` is TSS2_RC_SUCCESS.
    static func check(_ code: UInt32, _ action: String) throws(TPMError) {
        guard code == 0 else { throw TPMError(action: action, code: code) }
    }
}
