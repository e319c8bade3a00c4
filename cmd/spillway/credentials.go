package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/awsauth/awsprofile"
)

func credentialsCommand() *cobra.Command {
	// AWS_EC2_METADATA_DISABLED still forbids what IMDS allows; the logger that runs
	// this command sets it where its node file says no.
	o := awsauth.Options{IMDS: true}
	cmd := &cobra.Command{
		Use:   "aws-credentials",
		Short: "Print the credentials of an AWS profile, as a credential process does",
		Long: `Print the credentials and the region of an AWS profile as JSON, in the form that AWS
tools expect of a credential process. spillway-shim runs it, because profiles, SSO, web identity and
assumed roles need more of the SDK than a process for each container should carry.`,
		Example: `  spillway aws-credentials --profile logs
  spillway aws-credentials --credentials-file /etc/spillway/aws --profile default`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return awsprofile.WriteProcessCredentials(cmd.Context(), os.Stdout, o)
		},
	}
	cmd.Flags().StringVar(&o.CredentialsFile, "credentials-file", "", "a shared credentials file instead of the usual one")
	cmd.Flags().StringVar(&o.Profile, "profile", "", "the profile instead of the usual one")
	cmd.Flags().StringVar(&o.CAFile, "ca-file", "", "a file of certificates in PEM form, to be trusted beside the system's")
	return cmd
}
