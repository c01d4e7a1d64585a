package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

const (
	hintAzureLogin = "Log in (az login), or set AZURE_TENANT_ID, AZURE_CLIENT_ID and a secret, certificate or federated token; see coffer kms create --help."
	hintRSA        = "Name an RSA key whose permitted operations have wrapKey and unwrapKey."
	hintVersion    = "Restore the key's version in the vault (az keyvault key recover), or use the backup of the DEK."
	hintRoles      = "Give the identity the operations wrapKey and unwrapKey on this key (role Key Vault Crypto User)."
	hintResource   = "The server is not the vault that its name says. For a private cloud only: COFFER_AZURE_SKIP_RESOURCE_CHECK=1."
)

// errToken marks what went wrong while a token was fetched.
type errToken struct{ err error }

func (e errToken) Error() string { return "token: " + e.err.Error() }
func (e errToken) Unwrap() error { return e.err }

// azureFailed turns an error of the SDK into one of this package. It never uses
// the SDK's text, which repeats whole answers, tokens included.
func azureFailed(step Step, err error) error {
	var done *Error
	var res *azcore.ResponseError
	var token errToken
	switch {
	case errors.Is(err, context.Canceled), errors.As(err, &done):
		return err
	case errors.As(err, &token):
		return tokenFailed(token.err)
	case errors.As(err, &res):
		e := &Error{Provider: azureName, Step: step, Status: res.StatusCode, Code: res.ErrorCode}
		var inner string
		inner, e.Message = azureBody(res.RawResponse)
		if inner != "" {
			e.Code = inner
		}
		if res.RawResponse != nil {
			e.After = parseAfter(res.RawResponse.Header)
		}
		e.classifyAzure()
		return fail(e)
	}
	if f := failed(azureName, step, err); f != nil {
		return f
	}
	e := &Error{Provider: azureName, Step: step, Kind: ErrAnswer, Message: "the answer cannot be read"}
	switch text := err.Error(); {
	case strings.Contains(text, "WWW-Authenticate") || strings.Contains(text, "challenge"):
		e.Message, e.hint = "the vault's challenge is refused", hintResource
	case errors.Is(err, ErrAnswer):
		e.Message = "the answer is too long"
	}
	return fail(e)
}

// azureBody reads code and message of an answer of a vault: the inner code, where
// there is one, says more ("KeyDisabled" within "Forbidden").
func azureBody(res *http.Response) (code, message string) {
	if res == nil || res.Body == nil {
		return "", ""
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	res.Body = io.NopCloser(bytes.NewReader(body))
	var answer struct {
		Error struct {
			Message    string
			InnerError struct{ Code string }
		}
	}
	if err != nil || json.Unmarshal(body, &answer) != nil {
		return "", ""
	}
	return answer.Error.InnerError.Code, answer.Error.Message
}

// azureCodes are codes of vaults that say more than the status does.
var azureCodes = map[string]awsCode{
	"KeyDisabled":                   {ErrKeyUnusable, "Enable the key's version in the vault."},
	"KeyNotFound":                   {ErrKeyUnusable, hintVersion},
	"KeyExpired":                    {ErrKeyUnusable, "The key's version expired: give it a later date in the vault, unwrap, and rewrap under a new version."},
	"KeyNotYetValid":                {ErrKeyUnusable, "The key's version is not valid yet: check its activation date and this machine's clock."},
	"KeyOperationForbidden":         {ErrKeyUnusable, hintRSA},
	"KeyOperationNotPermitted":      {ErrKeyUnusable, hintRSA},
	"ObjectIsDeletedButRecoverable": {ErrKeyUnusable, hintVersion},
	"ObjectIsBeingDeleted":          {ErrKeyUnusable, hintVersion},
	"AccessDenied":                  {ErrDenied, hintRoles},
	"ForbiddenByPolicy":             {ErrDenied, hintRoles},
	"ForbiddenByRbac":               {ErrDenied, hintRoles},
	"ForbiddenByFirewall":           {ErrDenied, "The vault's firewall does not let this address in."},
	"Throttled":                     {ErrThrottled, ""},
}

// classifyAzure goes by code, then by status and message.
func (e *Error) classifyAzure() {
	if code, ok := azureCodes[e.Code]; ok {
		e.Kind, e.hint = code.kind, code.hint
		return
	}
	lower := strings.ToLower(e.Message)
	switch {
	case e.Status == http.StatusBadRequest && e.Step == StepUnwrap && !mentionsKeyType(lower):
		e.Kind = ErrWrongKey
	case e.Status == http.StatusBadRequest && mentionsKeyType(lower):
		e.Kind, e.hint = ErrKeyUnusable, hintRSA
	case e.Status == http.StatusBadRequest:
		e.Kind = ErrKeyUnusable
	case e.Status == http.StatusForbidden && strings.Contains(lower, "disabled"):
		e.Kind, e.hint = ErrKeyUnusable, azureCodes["KeyDisabled"].hint
	case e.Status == http.StatusForbidden && strings.Contains(lower, "operation") && strings.Contains(lower, "not permitted on this key"):
		e.Kind, e.hint = ErrKeyUnusable, hintRSA
	case e.Status == http.StatusNotFound:
		e.Kind, e.hint = ErrKeyUnusable, hintVersion
	case e.Status == http.StatusUnauthorized:
		e.Kind, e.hint = ErrCredentials, "The vault does not accept the token: it may be of another tenant, or have expired."
	default:
		e.classifyStatus()
	}
	if e.Kind == ErrDenied {
		e.hint = hintRoles
	}
}

func mentionsKeyType(lower string) bool {
	for _, part := range []string{"key type", "kty", "algorithm", "not supported", "only rsa"} {
		if strings.Contains(lower, part) {
			return true
		}
	}
	return false
}

// tokenFailed is about the authority that gives tokens, or the lack of anything
// to show it.
func tokenFailed(err error) error {
	e := &Error{Provider: azureName, Step: StepCredentials, Kind: ErrCredentials, hint: hintAzureLogin}
	var refused *azidentity.AuthenticationFailedError
	if errors.As(err, &refused) && refused.RawResponse != nil {
		e.Status = refused.RawResponse.StatusCode
		e.After = parseAfter(refused.RawResponse.Header)
		e.Code = tokenCode(refused.RawResponse)
		e.Message = "the authority gave no token"
		if e.Status == http.StatusTooManyRequests || e.Status >= 500 {
			e.hint = ""
			e.classifyStatus()
		}
		return fail(e)
	}
	if f := failed(azureName, StepCredentials, err); f != nil {
		return f
	}
	e.Message = "the usual chain found none that work"
	return fail(e)
}

// tokenCode is the authority's own code ("invalid_client"), never its text.
func tokenCode(res *http.Response) string {
	if res.Body == nil {
		return ""
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	res.Body = io.NopCloser(bytes.NewReader(body))
	var answer struct {
		Error string
	}
	if err != nil || json.Unmarshal(body, &answer) != nil {
		return ""
	}
	return answer.Error
}
