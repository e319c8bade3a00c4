package awsauth

import (
	"context"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// metadataClient makes a client for the instance metadata service. The address is the SDK's, or that of
// AWS_EC2_METADATA_SERVICE_ENDPOINT, which the SDK reads itself. IMDSv2 is tried first; AWS_EC2_METADATA_V1_DISABLED=true
// forbids what comes after it.
func metadataClient(o Options) (*imds.Client, error) {
	if err := o.metadataOff(); err != nil {
		return nil, err
	}
	client, err := newNodeClient(o, "http")
	if err != nil {
		return nil, err
	}
	options := imds.Options{
		HTTPClient:        client,
		Retryer:           aws.NopRetryer{},
		ClientEnableState: imds.ClientEnabled,
	}
	if strings.EqualFold(os.Getenv("AWS_EC2_METADATA_V1_DISABLED"), "true") {
		options.EnableFallback = aws.FalseTernary
	}
	return imds.New(options), nil
}

// metadataPlace asks for the credentials of the instance's role.
func metadataPlace(o Options) place {
	fetch := func(ctx context.Context) (aws.Credentials, error) {
		client, err := metadataClient(o)
		if err != nil {
			return aws.Credentials{}, err
		}
		creds, err := ec2rolecreds.New(func(r *ec2rolecreds.Options) { r.Client = client }).Retrieve(ctx)
		if err != nil {
			return aws.Credentials{}, Explain(err)
		}
		creds.Source = "instance metadata"
		return creds, nil
	}
	return place{name: "instance metadata", timeout: metadataTimeout, fetch: fetch}
}

// metadataRegion asks in which region the instance runs.
func metadataRegion(ctx context.Context, o Options) (string, error) {
	client, err := metadataClient(o)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	answer, err := client.GetRegion(ctx, nil)
	if err != nil {
		return "", Explain(err)
	}
	return answer.Region, nil
}
