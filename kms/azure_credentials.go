package kms

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// azureEnv are the variables that a file may carry. The authority is not among
// them: it is sent secrets.
var azureEnv = []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"}

var azureSecrets = []string{"AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_USERNAME", "AZURE_PASSWORD"}

// azureCredential is azidentity's usual chain. It reads the process's environment
// only, so where the file has entries, or the authority is another one, the first
// links of the chain – secret, certificate, federated token, managed identity –
// are made here, from the entries laid over the environment.
func azureCredential(p Place, o *Options, c azcore.ClientOptions) (azcore.TokenCredential, error) {
	get := func(name string) string {
		if v := p.Env[name]; v != "" {
			return v
		}
		return o.getenv(name)
	}
	authority := o.Private.Authority
	if authority == "" {
		authority = o.getenv("AZURE_AUTHORITY_HOST")
	}
	if authority != "" {
		if _, err := checkURL("the authority", authority); err != nil {
			return nil, err
		}
		c.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: authority}
	}
	tenant, client, skip := get("AZURE_TENANT_ID"), get("AZURE_CLIENT_ID"), o.Private.SkipDiscovery
	switch secret, cert, token := o.getenv("AZURE_CLIENT_SECRET"), get("AZURE_CLIENT_CERTIFICATE_PATH"), get("AZURE_FEDERATED_TOKEN_FILE"); {
	case tenant == "" || client == "":
		if client != "" && p.Env["AZURE_CLIENT_ID"] != "" {
			return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: c, ID: azidentity.ClientID(client)})
		}
	case secret != "":
		return azidentity.NewClientSecretCredential(tenant, client, secret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: c, DisableInstanceDiscovery: skip})
	case cert != "":
		return azureCertificate(tenant, client, cert, o, c)
	case token != "":
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: c,
			TenantID: tenant, ClientID: client, TokenFilePath: token, DisableInstanceDiscovery: skip})
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: c, TenantID: tenant,
		DisableInstanceDiscovery: skip})
}

// maxCertificate bounds a client's certificate with its key, in bytes.
const maxCertificate = 1 << 20

func azureCertificate(tenant, client, path string, o *Options, c azcore.ClientOptions) (azcore.TokenCredential, error) {
	data, err := readFile(o.FS, path, maxCertificate)
	if err != nil {
		return nil, err
	}
	certs, key, err := azidentity.ParseCertificates(data, []byte(o.getenv("AZURE_CLIENT_CERTIFICATE_PASSWORD")))
	if err != nil {
		return nil, err
	}
	return azidentity.NewClientCertificateCredential(tenant, client, certs, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: c, DisableInstanceDiscovery: o.Private.SkipDiscovery})
}

// credentialStep marks the errors of fetching a token, which come back through
// the vault's client.
type credentialStep struct{ azcore.TokenCredential }

func (c credentialStep) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t, err := c.TokenCredential.GetToken(ctx, o)
	if err != nil {
		return t, errToken{err}
	}
	return t, nil
}
