//! The encryption types against the vectors of their RFCs and of MIT Kerberos.

use super::*;
use proptest::prelude::*;

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<char> = hexadecimal.chars().filter(|digit| !digit.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

fn key(enctype: Enctype, hexadecimal: &str) -> Key {
    Key::new(enctype, &bytes(hexadecimal)).unwrap()
}

const AES128_SHA2: &str = "3705D96080C17728A0E800EAB6E0D23C";
const AES256_SHA2: &str = "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52";

/// RFC 3961 appendix A.1.
#[test]
fn n_fold_is_that_of_rfc_3961() {
    for (input, folded) in [
        ("012345", "be072631276b1955"),
        ("password", "78a07b6caf85fa"),
        ("Rough Consensus, and Running Code", "bb6ed30870b7f0e0"),
        ("password", "59e4a8ca7c0385c3c37b3f6d2000247cb6e6bd5b3e"),
        (
            "MASSACHVSETTS INSTITVTE OF TECHNOLOGY",
            "db3b0d8f0b061e603282b308a50841229ad798fab9540c1b",
        ),
        ("Q", "518a54a215a8452a518a54a215a8452a518a54a215"),
        ("ba", "fb25d531ae8974499f52fd92ea9857c4ba24cf297e"),
        ("kerberos", "6b65726265726f737b9b5b2b93132b93"),
    ] {
        let folded = bytes(folded);
        assert_eq!(n_fold(input.as_bytes(), folded.len()), folded, "{input}");
    }
}

/// RFC 3962 appendix B: what PBKDF2 has made of a password, and the key.
#[test]
fn keys_are_derived_as_in_rfc_3962() {
    for (base, derived) in [
        ("cdedb5281bb2f801565a1122b2563515", "42263c6e89f4fc28b8df68ee09799f15"),
        (
            "cdedb5281bb2f801565a1122b25635150ad1f7a04bb9f3a333ecc0e2e1f70837",
            "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161",
        ),
    ] {
        assert_eq!(derive_by_aes(&bytes(base), b"kerberos"), bytes(derived));
    }
}

/// RFC 3962 appendix B, CBC with ciphertext stealing.
#[test]
fn ciphertext_is_stolen_as_in_rfc_3962() {
    let cipher = Cipher::new(b"chicken teriyaki");
    let input = b"I would like the General Gau's Chicken, please, and wonton soup.";
    for (length, output) in [
        (17, "c6353568f2bf8cb4d8a580362da7ff7f97"),
        (31, "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5"),
        (32, "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584"),
        (
            47,
            "97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e
             39312523a78662d5be7fcbcc98ebf5",
        ),
        (
            48,
            "97687268d6ecccc0c07b25e25ecfe5849dad8bbb96c4cdc03bc103e1a194bbd8
             39312523a78662d5be7fcbcc98ebf5a8",
        ),
        (
            64,
            "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a8
             4807efe836ee89a526730dbc2f7bc8409dad8bbb96c4cdc03bc103e1a194bbd8",
        ),
    ] {
        let mut text = input[..length].to_vec();
        cipher.encrypt(&mut text);
        assert_eq!(text, bytes(output), "{length}");
        cipher.decrypt(&mut text);
        assert_eq!(text, input[..length], "{length}");
    }
}

/// RFC 8009 appendix A, "Sample results for key derivation", usage 2.
#[test]
fn keys_are_derived_as_in_rfc_8009() {
    for (enctype, base, checksum, encryption, integrity) in [
        (
            Enctype::Aes128Sha2,
            AES128_SHA2,
            "B31A018A48F54776F403E9A396325DC3",
            "9B197DD1E8C5609D6E67C3E37C62C72E",
            "9FDA0E56AB2D85E1569A688696C26A6C",
        ),
        (
            Enctype::Aes256Sha2,
            AES256_SHA2,
            "EF5718BE86CC84963D8BBB5031E9F5C4BA41F28FAF69E73D",
            "56AB22BEE63D82D7BC5227F6773F8EA7A5EB1C825160C38312980C442E5C7E49",
            "69B16514E3CD8E56B82010D5C73012B622C4D00FFC23ED1F",
        ),
    ] {
        let base = key(enctype, base);
        for (purpose, derived) in [
            (Purpose::Checksum, checksum),
            (Purpose::Encryption, encryption),
            (Purpose::Integrity, integrity),
        ] {
            assert_eq!(base.derive(Usage(2), purpose), bytes(derived));
        }
    }
}

/// RFC 8009 appendix A, "Sample encryptions", usage 2.
#[test]
fn texts_are_encrypted_as_in_rfc_8009() {
    let plain = bytes("000102030405060708090A0B0C0D0E0F1011121314");
    for (enctype, base, length, confounder, encrypted) in [
        (
            Enctype::Aes128Sha2,
            AES128_SHA2,
            0,
            "7E5895EAF2672435BAD817F545A37148",
            "EF85FB890BB8472F4DAB20394DCA781DAD877EDA39D50C870C0D5A0A8E48C718",
        ),
        (
            Enctype::Aes128Sha2,
            AES128_SHA2,
            6,
            "7BCA285E2FD4130FB55B1A5C83BC5B24",
            "84D7F30754ED987BAB0BF3506BEB09CFB55402CEF7E6877CE99E247E52D16ED4421DFDF8976C",
        ),
        (
            Enctype::Aes128Sha2,
            AES128_SHA2,
            16,
            "56AB21713FF62C0A1457200F6FA9948F",
            "3517D640F50DDC8AD3628722B3569D2AE07493FA8263254080EA65C1008E8FC2
             95FB4852E7D83E1E7C48C37EEBE6B0D3",
        ),
        (
            Enctype::Aes128Sha2,
            AES128_SHA2,
            21,
            "A7A4E29A4728CE10664FB64E49AD3FAC",
            "720F73B18D9859CD6CCB4346115CD336C70F58EDC0C4437C5573544C31C813BC
             E1E6D072C186B39A413C2F92CA9B8334A287FFCBFC",
        ),
        (
            Enctype::Aes256Sha2,
            AES256_SHA2,
            0,
            "F764E9FA15C276478B2C7D0C4E5F58E4",
            "41F53FA5BFE7026D91FAF9BE959195A058707273A96A40F0A01960621AC61274
             8B9BBFBE7EB4CE3C",
        ),
        (
            Enctype::Aes256Sha2,
            AES256_SHA2,
            6,
            "B80D3251C1F6471494256FFE712D0B9A",
            "4ED7B37C2BCAC8F74F23C1CF07E62BC7B75FB3F637B9F559C7F664F69EAB7B60
             92237526EA0D1F61CB20D69D10F2",
        ),
        (
            Enctype::Aes256Sha2,
            AES256_SHA2,
            16,
            "53BF8A0D105265D4E276428624CE5E63",
            "BC47FFEC7998EB91E8115CF8D19DAC4BBBE2E163E87DD37F49BECA92027764F6
             8CF51F14D798C2273F35DF574D1F932E40C4FF255B36A266",
        ),
        (
            Enctype::Aes256Sha2,
            AES256_SHA2,
            21,
            "763E65367E864F02F55153C7E3B58AF1",
            "40013E2DF58E8751957D2878BCD2D6FE101CCFD556CB1EAE79DB3C3EE86429F2
             B2A602AC86FEF6ECB647D6295FAE077A1FEB517508D2C16B4192E01F62",
        ),
    ] {
        let key = key(enctype, base);
        let confounder = bytes(confounder).try_into().unwrap();
        let ours = key.encrypt(Usage(2), confounder, &plain[..length]);
        assert_eq!(ours, bytes(encrypted), "{enctype:?} {length}");
        assert_eq!(key.decrypt(Usage(2), &ours).as_deref(), Some(&plain[..length]));
    }
}

/// RFC 8009 appendix A, and `t_cksums.c` of MIT Kerberos for RFC 3962.
#[test]
fn checksums_are_those_of_the_vectors() {
    for (enctype, base, usage, text, checksum) in [
        (
            Enctype::Aes128Sha1,
            "9062430C8CDA3388922E6D6A509F5B7A",
            3,
            &b"eight nine ten eleven twelve thirteen"[..],
            "01A4B088D45628F6946614E3",
        ),
        (
            Enctype::Aes256Sha1,
            "B1AE4CD8462AFF1677053CC9279AAC30B796FB81CE21474DD3DDBCFEA4EC76D7",
            4,
            b"fourteen",
            "E08739E3279E2903EC8E3836",
        ),
        (
            Enctype::Aes128Sha2,
            AES128_SHA2,
            2,
            &bytes("000102030405060708090A0B0C0D0E0F1011121314"),
            "D78367186643D67B411CBA9139FC1DEE",
        ),
        (
            Enctype::Aes256Sha2,
            AES256_SHA2,
            2,
            &bytes("000102030405060708090A0B0C0D0E0F1011121314"),
            "45EE791567EEFCA37F4AC1E0222DE80D43C3BFA06699672A",
        ),
    ] {
        let key = key(enctype, base);
        assert_eq!(key.checksum(Usage(usage), text), bytes(checksum), "{enctype:?}");
        assert!(key.verify(Usage(usage), text, &bytes(checksum)));
        assert!(!key.verify(Usage(usage + 1), text, &bytes(checksum)));
        assert!(!key.verify(Usage(usage), text, &bytes(checksum)[1..]));
        assert!(!key.verify(Usage(usage), text, &[]));
    }
}

#[test]
fn a_key_has_the_length_of_its_type_and_is_not_shown() {
    for enctype in Enctype::ALL {
        assert!(Key::new(enctype, &[0; 15]).is_none());
        assert_eq!(Enctype::of(enctype.number()), Some(enctype));
    }
    assert_eq!(Enctype::of(23), None);
    let shown = format!("{:?}", Key::new(Enctype::Aes128Sha1, &[0xab; 16]));
    assert!(!shown.contains("171") && !shown.contains("ab"), "{shown}");
}

proptest! {
    #[test]
    fn what_was_encrypted_is_decrypted_unless_a_byte_changed(
        plain in proptest::collection::vec(any::<u8>(), 0..70),
        secret in any::<[u8; 32]>(),
        confounder in any::<[u8; 16]>(),
        at in any::<prop::sample::Index>(),
    ) {
        for enctype in Enctype::ALL {
            let key = Key::new(enctype, &secret[..enctype.key_length()]).unwrap();
            let mut encrypted = key.encrypt(Usage::AS_REPLY, confounder, &plain);
            prop_assert_eq!(key.decrypt(Usage::AS_REPLY, &encrypted), Some(plain.clone()));
            prop_assert_eq!(key.decrypt(Usage::TGS_REPLY, &encrypted), None);
            let at = at.index(encrypted.len());
            prop_assert_eq!(key.decrypt(Usage::AS_REPLY, &encrypted[..at]), None);
            encrypted[at] ^= 1;
            prop_assert_eq!(key.decrypt(Usage::AS_REPLY, &encrypted), None);
        }
    }
}
