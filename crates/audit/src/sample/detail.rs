//! Opening the section of actor and request of a detail record (`docs/formats/detail.md`).

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
};

/// The longest record that is looked at.
pub(super) const DETAIL_BYTES_MAX: usize = 4 << 20;
const COMMITMENT: &[u8] = b"clover detail key commitment";

/// What follows the fixed part of a record.
struct Section<'a> {
    commitment: [u8; 16],
    nonce: [u8; 12],
    ciphertext: &'a [u8],
}

/// The plain text of the section `actor`.
pub(super) fn open_actor(record: &[u8], flow: &[u8; 16], key: &[u8; 32]) -> Result<Vec<u8>, &'static str> {
    let rest = record.strip_prefix(b"CLVD\x01").ok_or("the detail record has another magic or version")?;
    let short = "the detail record is cut off";
    let (_epoch, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
    let (_entry_key, rest) = section(rest).ok_or(short)?;
    let (actor, rest) = section(rest).ok_or(short)?;
    let (people, mut rest) = rest.split_first_chunk::<4>().ok_or(short)?;
    for _ in 0..u32::from_be_bytes(*people) {
        let (_tag, after) = rest.split_first_chunk::<16>().ok_or(short)?;
        rest = section(after).ok_or(short)?.1;
    }
    if !rest.is_empty() {
        return Err("the detail record goes on after its last person");
    }
    actor.open(key, flow, b"actor")
}

fn section(bytes: &[u8]) -> Option<(Section<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (commitment, rest) = rest.split_first_chunk::<16>()?;
    let (nonce, rest) = rest.split_first_chunk::<12>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (ciphertext, rest) = rest.split_at_checked(length)?;
    Some((Section { commitment: *commitment, nonce: *nonce, ciphertext }, rest))
}

impl Section<'_> {
    fn open(&self, key: &[u8; 32], flow: &[u8; 16], context: &[u8]) -> Result<Vec<u8>, &'static str> {
        let commitment = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), COMMITMENT);
        if commitment.as_ref().first_chunk() != Some(&self.commitment) {
            return Err("the entry key is not the one that the section commits to");
        }
        let unusable = "the section does not open with the entry key";
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| unusable)?);
        let mut data = self.ciphertext.to_vec();
        let associated = [&flow[..], context].concat();
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let plain = key.open_in_place(nonce, Aad::from(associated), &mut data).map_err(|_| unusable)?;
        Ok(plain.to_vec())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record as a site writes it.
    pub(crate) fn record(flow: &[u8; 16], key: &[u8; 32], actor: &[u8], people: u32) -> Vec<u8> {
        let mut bytes = b"CLVD\x01\x00\x00\x55\xe6".to_vec();
        bytes.extend(seal(&[9; 32], flow, b"entry-key", key));
        bytes.extend(seal(key, flow, b"actor", actor));
        bytes.extend(people.to_be_bytes());
        for person in 0..people {
            let tag = [person as u8; 16];
            bytes.extend(tag);
            bytes.extend(seal(&[8; 32], flow, &tag, b"person"));
        }
        bytes
    }

    fn seal(key: &[u8; 32], flow: &[u8; 16], context: &[u8], plain: &[u8]) -> Vec<u8> {
        let commitment = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), COMMITMENT);
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
        let mut data = plain.to_vec();
        let aad = Aad::from([&flow[..], context].concat());
        cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key([3; 12]), aad, &mut data).unwrap();
        [&(data.len() as u32).to_be_bytes()[..], &commitment.as_ref()[..16], &[3; 12], &data].concat()
    }

    #[test]
    fn only_the_whole_record_opens_with_its_own_key_and_flow() {
        let (flow, key) = ([1; 16], [2; 32]);
        let good = record(&flow, &key, b"who", 2);
        assert_eq!(open_actor(&good, &flow, &key).unwrap(), b"who");
        assert!(open_actor(&good, &[7; 16], &key).is_err());
        assert!(open_actor(&good, &flow, &[7; 32]).is_err());
        for end in 0..good.len() {
            assert!(open_actor(&good[..end], &flow, &key).is_err(), "cut at {end}");
        }
        assert!(open_actor(&[&good[..], b"x"].concat(), &flow, &key).is_err());
        let actor = 9 + 32 + 32 + 16 + 32;
        let mut bad = good;
        bad[actor] ^= 1;
        assert!(open_actor(&bad, &flow, &key).is_err());
    }
}
