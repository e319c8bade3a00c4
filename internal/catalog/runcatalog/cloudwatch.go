package runcatalog

import (
	"context"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/sink/cloudwatch"
	"github.com/spillway/spillway/internal/sink/cloudwatch/streams"
)

func (s *Surroundings) cloudWatchSink(plan *runfile.CloudWatchSink) (*catalog.Destination, error) {
	auth := awsauth.Options{
		CredentialsEndpoint: plan.CredentialsURL, Region: plan.Region, MaxInFlight: cloudwatch.InFlight,
	}
	if err := section(&auth, &plan.AWS); err != nil {
		return nil, err
	}
	provide, findRegion := s.Provider, s.Region
	if provide == nil {
		provide, findRegion = awsauth.Provider, awsauth.Region
	}
	client, err := awsauth.HTTPClient(auth)
	if err != nil {
		return nil, err
	}
	provider, err := provide(auth)
	if err != nil {
		return nil, err
	}
	o := streams.Options{Group: plan.Group, Stream: plan.Stream, Service: cloudwatch.Config{
		CreateGroup: plan.CreateGroup, CreateStream: plan.CreateStream, Client: client, UserAgent: s.UserAgent,
		Resolve: func(ctx context.Context) (cloudwatch.Destination, error) {
			region, err := findRegion(ctx, auth)
			if err != nil {
				return cloudwatch.Destination{}, err
			}
			url, err := awsauth.Endpoint(region, plan.Endpoint)
			if err != nil {
				return cloudwatch.Destination{}, err
			}
			return cloudwatch.Destination{URL: url, Signer: awsauth.NewSigner(provider, region)}, nil
		},
	}}
	switch plan.Format {
	case runfile.FormatText:
		o.LogKey = plan.LogKey
	case runfile.FormatEMF:
		o.Service.Format = config.FormatEMF
	}
	made, err := streams.New(o)
	if err != nil {
		return nil, err
	}
	return &catalog.Destination{
		Name: "cloudwatch " + plan.Group.String() + "/" + plan.Stream.String(), Sink: made, FlushInterval: plan.FlushInterval,
	}, nil
}
