//! The identity provider: what it says of itself, its keys, and whether an ID token counts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use model::{Explain, UnixSeconds};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClaimName, CoreClaimType,
    CoreClientAuthMethod, CoreDeviceAuthorizationResponse, CoreErrorResponseType, CoreGenderClaim,
    CoreGrantType, CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreSubjectIdentifierType,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, AuthorizationCode, ClaimsVerificationError, Client, ClientId,
    ClientSecret, CsrfToken, DeviceAuthorizationUrl, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata,
    RedirectUrl, Scope, SignatureVerificationError, StandardErrorResponse, StandardTokenResponse,
    TokenResponse,
};
use serde_json::Value;

use super::claims::AllClaims;
use super::settings::Settings;
use crate::ask::Http;

/// Most that clocks may differ, in seconds.
pub const SKEW_SECONDS: i64 = 60;
/// An ID token is fresh from the provider when we get it; an older one was kept by somebody.
const ISSUED_SECONDS_MAX: i64 = 600;
/// How long what the provider says of itself is believed without asking again.
const BELIEVED: Duration = Duration::from_secs(3600);
/// Keys are fetched anew for a key id that is not known at most this often.
const REFETCH: Duration = Duration::from_secs(10);

/// Signatures that count. No shared secret, so no public key can be taken for one, and never none at all.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why nobody signs in by the provider. Nothing of a token is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// It cannot be asked, or what it says cannot be used.
    #[error("the identity provider cannot be used: {0}")]
    Unusable(&'static str),
    /// It refuses the code.
    #[error("the identity provider refuses the code")]
    Code,
    /// The person refused, or took too long.
    #[error("nobody signed in at the identity provider in time")]
    Nobody,
    /// Its ID token does not count.
    #[error("the ID token does not count: {0}")]
    Token(&'static str),
}

impl Explain for ProviderError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unusable(_) => "CLV-0701",
            Self::Code | Self::Nobody | Self::Token(_) => "CLV-0702",
        }
    }
    fn fix(&self) -> &'static str {
        match self {
            Self::Unusable(_) => "see whether the provider runs, and compare [signin] with docs/signin.md",
            Self::Code | Self::Nobody => "sign in again",
            Self::Token(_) => {
                "compare client, issuer, keys and clock of provider and console; see docs/signin.md"
            }
        }
    }
    fn public(&self) -> &'static str {
        match self {
            Self::Unusable(_) => "the identity provider cannot be used now; sessions go on until they expire",
            Self::Code | Self::Nobody | Self::Token(_) => "the sign-in does not count; sign in again",
        }
    }
}

#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
struct Extra {
    device_authorization_endpoint: Option<DeviceAuthorizationUrl>,
}
impl AdditionalProviderMetadata for Extra {}

type Metadata = ProviderMetadata<
    Extra,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;
type Fields = IdTokenFields<
    AllClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Answer = StandardTokenResponse<Fields, CoreTokenType>;
type Asking = Client<
    AllClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Answer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A sign-in that was begun in a browser: where the browser goes, and what must come back.
pub(super) struct Begun {
    pub(super) url: String,
    pub(super) state: String,
    pub(super) expected: Expected,
}

/// What must fit what comes back.
pub(super) struct Expected {
    nonce: Nonce,
    verifier: PkceCodeVerifier,
}

/// The provider.
pub struct Provider {
    settings: Settings,
    http: Http,
    clock: fn() -> UnixSeconds,
    known: Mutex<Option<(Arc<Metadata>, Instant)>>,
    refetched: Mutex<Option<Instant>>,
}

impl Provider {
    /// A provider that is asked when somebody signs in, and not before.
    #[must_use]
    pub fn new(settings: Settings, clock: fn() -> UnixSeconds) -> Self {
        let http = Http::new(Arc::clone(&settings.tls), settings.loopback_http);
        Self { settings, http, clock, known: Mutex::default(), refetched: Mutex::default() }
    }

    /// How its claims are read.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Begins a sign-in in a browser.
    pub(super) async fn begin(&self) -> Result<Begun, ProviderError> {
        let asking = self.asking(&*self.metadata().await?)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let mut request = asking
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge);
        for scope in &self.settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.url();
        let expected = Expected { nonce, verifier };
        Ok(Begun { url: url.into(), state: state.into_secret(), expected })
    }

    /// The claims of whoever comes back with this code.
    pub(super) async fn finish(&self, code: String, expected: Expected) -> Result<Value, ProviderError> {
        let metadata = self.metadata().await?;
        let asking = self.asking(&metadata)?;
        let asked = asking
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| ProviderError::Unusable("it names no token endpoint"))?
            .set_pkce_verifier(expected.verifier);
        let answer = asked.request_async(&self.http).await.map_err(|e| told(&e, ProviderError::Code))?;
        self.verified(&metadata, &answer, Some(&expected.nonce)).await
    }

    /// Begins a sign-in on a device without a browser.
    pub(super) async fn begin_device(&self) -> Result<CoreDeviceAuthorizationResponse, ProviderError> {
        let metadata = self.metadata().await?;
        let none = ProviderError::Unusable("it offers no device authorisation");
        let url = metadata.additional_metadata().device_authorization_endpoint.clone().ok_or(none)?;
        let asking = self.asking(&metadata)?.set_device_authorization_url(url);
        let mut request = asking.exchange_device_code();
        for scope in &self.settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        request
            .request_async(&self.http)
            .await
            .map_err(|e| told(&e, ProviderError::Unusable("it refuses device authorisation")))
    }

    /// Waits until somebody has signed in for that device, and gives their claims.
    pub(super) async fn finish_device(
        &self,
        begun: &CoreDeviceAuthorizationResponse,
        patience: Duration,
    ) -> Result<Value, ProviderError> {
        let metadata = self.metadata().await?;
        let asking = self.asking(&metadata)?;
        let asked = asking
            .exchange_device_access_token(begun)
            .map_err(|_| ProviderError::Unusable("it names no token endpoint"))?;
        let waited = asked.request_async(&self.http, tokio::time::sleep, Some(patience)).await;
        let answer = waited.map_err(|e| told(&e, ProviderError::Nobody))?;
        self.verified(&metadata, &answer, None).await
    }

    fn asking(&self, metadata: &Metadata) -> Result<Asking, ProviderError> {
        let secret = self.settings.client_secret.clone().map(ClientSecret::new);
        let id = ClientId::new(self.settings.client_id.clone());
        let redirect = RedirectUrl::new(self.settings.redirect.clone())
            .map_err(|_| ProviderError::Unusable("`signin.redirect_host` is no host"))?;
        let methods = metadata.token_endpoint_auth_methods_supported();
        let only_in_body = methods.is_some_and(|m| {
            m.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !m.contains(&CoreClientAuthMethod::ClientSecretBasic)
        });
        let how = if only_in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        let asking = Asking::from_provider_metadata(metadata.clone(), id, secret);
        Ok(asking.set_redirect_uri(redirect).set_auth_type(how))
    }

    /// What the provider says of itself; asked again when it was long ago.
    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((metadata, at)) = known.as_ref()
                && at.elapsed() < BELIEVED
            {
                return Ok(Arc::clone(metadata));
            }
        }
        self.discover().await
    }

    async fn discover(&self) -> Result<Arc<Metadata>, ProviderError> {
        let issuer = IssuerUrl::new(self.settings.issuer.clone())
            .map_err(|_| ProviderError::Unusable("`signin.issuer` is no address"))?;
        // Discovery holds the issuer that it names against the one that was configured.
        let found = Metadata::discover_async(issuer, &self.http).await.map_err(|e| {
            tracing::warn!(error = %e, "the identity provider does not say what it is");
            ProviderError::Unusable("discovery")
        })?;
        let found = Arc::new(found);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((Arc::clone(&found), Instant::now()));
        Ok(found)
    }

    /// Fetches keys anew for a key id that is not known: once, and not too often, whoever sends such tokens.
    async fn refetched(&self) -> Result<Arc<Metadata>, ProviderError> {
        {
            let mut last = self.refetched.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|at| at.elapsed() < REFETCH) {
                return Err(ProviderError::Token("its key is not known"));
            }
            *last = Some(Instant::now());
        }
        self.discover().await
    }

    async fn verified(
        &self,
        metadata: &Metadata,
        answer: &Answer,
        nonce: Option<&Nonce>,
    ) -> Result<Value, ProviderError> {
        let outcome = self.verify(metadata.jwks(), answer, nonce);
        if !matches!(
            outcome,
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey))
        ) {
            return outcome.map_err(|e| bad(&e));
        }
        let newer = self.refetched().await?;
        self.verify(newer.jwks(), answer, nonce).map_err(|e| bad(&e))
    }

    fn verify(
        &self,
        keys: &CoreJsonWebKeySet,
        answer: &Answer,
        nonce: Option<&Nonce>,
    ) -> Result<Value, ClaimsVerificationError> {
        let other = |why: &str| ClaimsVerificationError::Other(why.to_owned());
        let token = answer.id_token().ok_or_else(|| other("there is none"))?;
        let now = i64::try_from((self.clock)().0).unwrap_or(i64::MAX);
        let moment = |seconds: i64| DateTime::<Utc>::from_timestamp(seconds, 0).unwrap_or_default();
        let issued = move |at: DateTime<Utc>| {
            let fresh = at <= moment(now + SKEW_SECONDS) && at > moment(now - ISSUED_SECONDS_MAX);
            if fresh { Ok(()) } else { Err("issued at another time".to_owned()) }
        };
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(|_| other("issuer"))?;
        let id = ClientId::new(self.settings.client_id.clone());
        // As a public client, with a secret or without: no signature by a shared secret ever counts.
        let verifier = openidconnect::IdTokenVerifier::new_public_client(id, issuer, keys.clone())
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || moment(now - SKEW_SECONDS))
            .set_issue_time_verifier_fn(issued);
        let asked_with = nonce.cloned();
        let claims = token.claims(&verifier, move |found: Option<&Nonce>| match (asked_with, found) {
            (Some(asked), Some(found)) if asked.secret() == found.secret() => Ok(()),
            // A device flow sends no nonce: the code that was exchanged never left us.
            (None, None) => Ok(()),
            _ => Err("another nonce".to_owned()),
        })?;
        let claims = serde_json::to_value(claims).map_err(|_| other("claims"))?;
        match claims.get("azp").and_then(Value::as_str) {
            Some(party) if party != self.settings.client_id => {
                Err(ClaimsVerificationError::InvalidAudience("another party".to_owned()))
            }
            _ => Ok(claims),
        }
    }
}

/// What went wrong with a request to the provider: `refused` when it answered with an error of the protocol.
fn told<E, T>(error: &openidconnect::RequestTokenError<E, T>, refused: ProviderError) -> ProviderError
where
    E: std::error::Error + 'static,
    T: openidconnect::ErrorResponse + 'static,
{
    match error {
        openidconnect::RequestTokenError::ServerResponse(_) => refused,
        openidconnect::RequestTokenError::Request(_) => ProviderError::Unusable("no answer"),
        openidconnect::RequestTokenError::Parse(..) => ProviderError::Token("the answer cannot be read"),
        openidconnect::RequestTokenError::Other(_) => refused,
    }
}

/// What is wrong with a token, in our words: those of the library repeat what stands in it.
fn bad(error: &ClaimsVerificationError) -> ProviderError {
    use ClaimsVerificationError as E;
    use SignatureVerificationError as S;
    ProviderError::Token(match error {
        E::Expired(_) => "it has expired, or was issued at another time",
        E::InvalidAudience(_) => "it is for another client",
        E::InvalidIssuer(_) => "it is of another issuer",
        E::InvalidNonce(_) => "its nonce is another",
        E::SignatureVerification(S::NoSignature) => "it is not signed",
        E::SignatureVerification(S::DisallowedAlg(_) | S::UnsupportedAlg(_)) => {
            "its algorithm does not count"
        }
        E::SignatureVerification(S::NoMatchingKey) => "its key is not known",
        E::SignatureVerification(_) => "its signature does not hold",
        _ => "it has another form",
    })
}
