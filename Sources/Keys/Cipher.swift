internal import COpenSSL

/// The one cipher outside TLS: what TPM credentials are wrapped with.
public enum Cipher {
    /// AES-128 in CFB mode with an all-zero initialisation vector; `key` has 16 bytes.
    ///
    /// TPM 2.0 Library part 1, section 24.4: the key is derived from a fresh seed and used once.
    public static func encryptAES128CFB(_ bytes: [UInt8], key: [UInt8]) throws(KeyError) -> [UInt8]
    {
        defer { Library.clearErrors() }
        let failed = KeyError(.library, "AES-128-CFB: encryption failed")
        guard key.count == 16, let context = unsafe EVP_CIPHER_CTX_new() else { throw failed }
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        let vector = [UInt8](repeating: 0, count: 16)
        guard unsafe EVP_EncryptInit_ex(context, EVP_aes_128_cfb128(), nil, key, vector) == 1 else {
            throw failed
        }
        var output = [UInt8](repeating: 0, count: bytes.count + 16)
        var size: Int32 = 0
        var last: Int32 = 0
        guard
            unsafe EVP_EncryptUpdate(context, &output, &size, bytes, Int32(bytes.count)) == 1,
            unsafe EVP_EncryptFinal_ex(context, nil, &last) == 1, size == bytes.count
        else { throw failed }
        return Array(output[..<Int(size)])
    }
}
